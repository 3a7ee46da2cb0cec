"""Is it fine, and if not, why: what two looks at the status tell together. Pure.

``headrace status --watch`` and the status page show this.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from contract.ledger.jobs import Job, JobState
from contract.ledger.records import Totals
from contract.ledger.survey import LaneState
from headrace.amounts import age_text, counted
from headrace.progress import Progress, progress_of
from headrace.status import Status

STUCK_SECONDS: Final = 600.0
"""Work that is older, while nothing gets written, is not just waiting for its turn."""
LONGEST_REASON: Final = 300
"""Characters of what a server said."""

_ACTIVE = frozenset(
    {JobState.LISTING, JobState.WATCHING, JobState.INGESTING, JobState.PAUSED}
)  # fmt: skip


class Verdict(StrEnum):
    """How it is, in rising order of how soon someone should look."""

    FINE = "fine"
    ATTENTION = "attention"
    """It goes on; something was left out, or waits for a person."""
    TROUBLE = "trouble"
    """Something does not go on by itself, or not now."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why it is not fine, in a sentence without a full stop."""

    verdict: Verdict
    text: str


@dataclass(frozen=True, slots=True)
class JobView:
    """One job that is under way, or the newest of its source."""

    id: str
    collection: str
    source: str
    state: JobState
    created_ms: int
    progress: Progress
    held: str


@dataclass(frozen=True, slots=True)
class LaneView:
    """The work of one lane, of all collections."""

    name: str
    messages: int | None
    """That wait in the queue; None where that lies at another broker."""
    work: LaneState


@dataclass(frozen=True, slots=True)
class Wait:
    """A server that a worker waits for."""

    worker: str
    dependency: str
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class DayUse:
    """What a source has had embedded since midnight (UTC)."""

    collection: str
    source: str
    tokens: int
    limit: int | None
    """So many a day; None: not limited in tokens."""


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything at one moment, with rates over the last seconds."""

    now_ms: int
    reasons: tuple[Reason, ...]
    """The worst first; none when it is fine."""
    chunks_per_second: float
    documents_per_second: float
    unfinished: Totals
    oldest_seconds: float
    """How long the oldest unfinished batch that is not paused is under way; 0: there is none."""
    lanes: tuple[LaneView, ...]
    jobs: tuple[JobView, ...]
    """Those under way, oldest first, then the newest one of each other source."""
    workers: tuple[str, ...]
    producers: tuple[str, ...]
    waits: tuple[Wait, ...]
    schedules: int
    overdue: tuple[str, ...]
    dead_letters: int
    day_uses: tuple[DayUse, ...]

    @property
    def verdict(self) -> Verdict:
        """How it is: as the worst of the reasons."""
        return self.reasons[0].verdict if self.reasons else Verdict.FINE

    @property
    def sentence(self) -> str:
        """How it is, for a person."""
        if self.reasons:
            return "; ".join(reason.text for reason in self.reasons)
        if self.unfinished.batches:
            return "work is going on, and nothing waits for a server"
        return "all that was promised is through"


def overview(before: Status, after: Status, *, tokens_per_day: int | None = None) -> Overview:
    """Judge how it is, from two looks.

    Args:
        before: some seconds earlier; the same as ``after`` when there was no look before.
        after: the newest look, with all jobs that it can have.
        tokens_per_day: what a source may have embedded on a day (``source_tokens_per_day``).
    """
    seconds = max(after.now_ms - before.now_ms, 0) / 1000
    earlier = {(job.collection, job.id): job for job in _jobs(before)}
    newest = _jobs(after)
    written = {
        (job.collection, job.id): _rise(job, earlier, before.now_ms, _chunks) for job in newest
    }
    settled = sum(_rise(job, earlier, before.now_ms, _documents) for job in newest)

    def rate(number: int) -> float:
        return number / seconds if seconds else 0.0

    jobs = [_job_view(job, after.now_ms, rate(written[job.collection, job.id])) for job in newest]
    waits = _waits(after)
    chunk_rate = rate(sum(written.values()))
    return Overview(
        now_ms=after.now_ms,
        reasons=_reasons(after, waits, jobs, chunk_rate),
        chunks_per_second=chunk_rate,
        documents_per_second=rate(settled),
        unfinished=_unfinished(after),
        oldest_seconds=_oldest_seconds(after),
        lanes=tuple(
            LaneView(lane, None if after.queues is None else after.queues.get(lane, 0), work)
            for lane, work in after.lanes.items()
        ),
        jobs=_shown(jobs),
        workers=after.workers,
        producers=after.producers,
        waits=waits,
        schedules=after.schedules,
        overdue=after.overdue,
        dead_letters=sum(item.dead_letters for item in after.collections),
        day_uses=tuple(
            DayUse(item.name, source, tokens, tokens_per_day)
            for item in after.collections
            for source, tokens in sorted(item.tokens_today.items())
        ),
    )


def overview_as_dict(seen: Overview) -> dict[str, Any]:
    """Give an overview, for JSON; times are ms since the epoch, ages seconds."""
    shown = asdict(seen)
    for job, fields in zip(seen.jobs, shown["jobs"], strict=True):
        fields["progress"]["share"] = job.progress.share
    return {"verdict": seen.verdict.value, "sentence": seen.sentence, **shown}


def _job_view(job: Job, now_ms: int, rate: float) -> JobView:
    return JobView(
        job.id,
        job.collection,
        job.source,
        job.state(now_ms),
        job.created_ms,
        progress_of([job], rate),
        job.held,
    )


def _waits(status: Status) -> tuple[Wait, ...]:
    return tuple(
        Wait(
            worker,
            trouble.dependency,
            trouble.reason[:LONGEST_REASON],
            max(0, status.now_ms - trouble.since_ms) / 1000,
        )
        for worker, troubles in status.troubles.items()
        for trouble in troubles
    )


def _jobs(status: Status) -> list[Job]:
    return [job for item in status.collections for job in item.jobs]


def _chunks(job: Job) -> int:
    return job.count("chunks_written")


def _documents(job: Job) -> int:
    return job.documents_settled


def _rise(
    job: Job,
    earlier: Mapping[tuple[str, str], Job],
    since_ms: int,
    count: Callable[[Job], int],
) -> int:
    """Tell by how much a counter has grown; of a job that was merely not shown before: by 0."""
    old = earlier.get((job.collection, job.id))
    if old is not None:
        return max(count(job) - count(old), 0)
    return count(job) if job.created_ms >= since_ms else 0


def _unfinished(status: Status) -> Totals:
    every = [item.unfinished for item in status.collections]
    return Totals(
        sum(total.batches for total in every),
        sum(total.chunks for total in every),
        sum(total.bytes for total in every),
    )


def _oldest_seconds(status: Status) -> float:
    return max((work.oldest_ms for work in status.lanes.values()), default=0) / 1000


def _shown(jobs: Sequence[JobView]) -> tuple[JobView, ...]:
    """Choose the jobs that say something: those under way, and how each source ended last."""
    newest_first = sorted(jobs, key=lambda job: (job.created_ms, job.id), reverse=True)
    active = [job for job in newest_first if job.state in _ACTIVE]
    sources = {(job.collection, job.source) for job in active}
    last = []
    for job in newest_first:
        if (job.collection, job.source) not in sources:
            sources.add((job.collection, job.source))
            last.append(job)
    return (*reversed(active), *last)


def _reasons(
    status: Status, waits: Sequence[Wait], jobs: Sequence[JobView], rate: float
) -> tuple[Reason, ...]:
    found = []

    def add(verdict: Verdict, text: str) -> None:
        found.append(Reason(verdict, text))

    workable = sum(work.waiting + work.resting + work.leased for work in status.lanes.values())
    oldest = _oldest_seconds(status)
    if workable and not status.workers:
        verb = "is" if workable == 1 else "are"
        add(
            Verdict.TROUBLE,
            f"{counted(workable, 'batch')} {verb} unfinished, and no worker is running",
        )
    for dependency in sorted({wait.dependency for wait in waits}):
        who = len({wait.worker for wait in waits if wait.dependency == dependency})
        verb = "waits" if who == 1 else "wait"
        add(Verdict.TROUBLE, f"{counted(who, 'worker')} {verb} for {dependency}")
    if status.workers and not waits and not rate and oldest > STUCK_SECONDS:
        add(Verdict.TROUBLE, f"nothing is written, and the oldest work is {age_text(oldest)} old")
    for name in status.overdue:
        add(Verdict.TROUBLE, f"schedule {name} is overdue: is a scheduler running?")
    letters = sum(item.dead_letters for item in status.collections)
    if letters:
        add(Verdict.ATTENTION, f"{counted(letters, 'dead letter')} to look at")
    shown = _shown(jobs)
    paused = sum(job.state is JobState.PAUSED for job in shown)
    if paused:
        add(Verdict.ATTENTION, f"{counted(paused, 'job')} paused")
    for state, what in (
        (JobState.INTERRUPTED, "was interrupted: the same command resumes it"),
        (JobState.BUDGET_REACHED, "stopped at its budget"),
    ):
        names = sorted(job.source for job in shown if job.state is state)
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            add(Verdict.ATTENTION, f"the last import of {names[0]}{more} {what}")
    order = list(Verdict)
    return tuple(sorted(found, key=lambda reason: -order.index(reason.verdict)))
