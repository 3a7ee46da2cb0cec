"""The jobs of one collection that are not through, and which sources a budget holds."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from contract.ledger.jobs import Job, JobState

ENDED: Final = frozenset({JobState.DONE, JobState.BUDGET_REACHED, JobState.CANCELLED})
OVERLAP_MS: Final = 120_000
"""A job that a machine with a late clock began is looked for so far back."""
ALL_AGAIN_MS: Final = 60_000
FORGOTTEN_MS: Final = 3_600_000
"""One that was interrupted so long ago, and has nothing under way, is not looked at any more."""
PACE_MS: Final = 60_000
"""Over which a job's pace is measured."""


@dataclass(frozen=True, slots=True)
class ActiveJob:
    """A job that is not through."""

    job: Job
    state: JobState
    per_second: float
    """Documents settled lately; 0: none, or not known yet."""

    @property
    def promised(self) -> int:
        """Count the documents to which it gave a version so far."""
        names = ("documents_new", "documents_changed", "documents_deleted")
        return sum(map(self.job.count, names))

    @property
    def left(self) -> int:
        """Count the documents of these that are not settled."""
        return max(self.promised - self.job.documents_settled, 0)

    @property
    def eta_seconds(self) -> float | None:
        """Tell when it is through at this pace; None: it lists still, rests, or has no pace."""
        if self.state is not JobState.INGESTING or not self.per_second:
            return None
        return self.left / self.per_second


class JobWatch:
    """Remembers which jobs are not through, so that the others need not be read again."""

    def __init__(self) -> None:
        """Begin with none."""
        self._active: dict[str, ActiveJob] = {}
        self._paces: dict[str, deque[tuple[int, int]]] = {}
        self._newest: dict[str, tuple[int, str, bool]] = {}
        self._last_ms = 0
        self._all_ms = 0

    @property
    def since_ms(self) -> int:
        """Jobs that began later are to be given to ``take``."""
        return max(self._last_ms - OVERLAP_MS, 0)

    @property
    def names(self) -> Sequence[str]:
        """These are to be given to ``take``."""
        return tuple(self._active)

    def take(self, jobs: Iterable[Job], now_ms: int) -> None:
        """Take what was read at a time in ms since 1970."""
        if now_ms - self._all_ms >= ALL_AGAIN_MS:
            self._last_ms, self._all_ms = 0, now_ms
        else:
            self._last_ms = now_ms
        active = {}
        for job in jobs:
            state = job.state(now_ms)
            known = self._newest.get(job.source, (0, "", False))
            self._newest[job.source] = max(known, (job.created_ms, job.id, bool(job.held)))
            silent_ms = now_ms - job.seen_ms
            is_over = state is JobState.INTERRUPTED and job.drained and silent_ms > FORGOTTEN_MS
            if state not in ENDED and not is_over:
                active[job.id] = ActiveJob(job, state, self._pace(job, now_ms))
        self._active = active
        self._paces = {name: pace for name, pace in self._paces.items() if name in active}

    @property
    def active(self) -> Sequence[ActiveJob]:
        """Give those that are not through; of interrupted ones the newest job of a source alone."""
        newest = {job for _, job, _ in self._newest.values()}
        return [
            job
            for job in self._active.values()
            if job.state is not JobState.INTERRUPTED or job.job.id in newest
        ]

    @property
    def held(self) -> int:
        """Count the sources whose newest job stopped at a budget."""
        return sum(held for _, _, held in self._newest.values())

    def _pace(self, job: Job, now_ms: int) -> float:
        pace = self._paces.setdefault(job.id, deque())
        pace.append((now_ms, job.documents_settled))
        while len(pace) > 2 and now_ms - pace[1][0] >= PACE_MS:  # noqa: PLR2004 - both ends
            pace.popleft()
        (begun_ms, before), (ended_ms, after) = pace[0], pace[-1]
        return 1000 * (after - before) / (ended_ms - begun_ms) if ended_ms > begun_ms else 0.0
