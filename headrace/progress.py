"""How far an import is: pure arithmetic over a job's counters."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from contract.ledger.jobs import Job

WINDOW_SECONDS = 15.0
"""The rate shown is that of the last seconds."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far some jobs are together, at one moment."""

    documents_done: int
    documents: int
    """Known so far; grows while the source is listed."""
    chunks_done: int
    chunks: int
    failed: int
    unchanged: int
    listing: bool
    paused: bool
    """One of the jobs is; nothing goes on until someone resumes it."""
    chunks_per_second: float
    eta_seconds: float | None
    trouble: str

    @property
    def share(self) -> float | None:
        """How much is through, from 0 to 1; None as long as that can't be told."""
        if self.chunks:
            return min(self.chunks_done / self.chunks, 1.0)
        return min(self.documents_done / self.documents, 1.0) if self.documents else None


class ProgressMeter:
    """Turns counters into a rate and an estimate of the time left."""

    def __init__(self) -> None:
        """Begin without a rate."""
        self._samples: deque[tuple[float, int]] = deque()

    def measure(self, jobs: list[Job], now: float) -> Progress:
        """Take a sample; the first job is the one that is watched, others it waits for.

        Args:
            jobs: at least one.
            now: a clock that does not jump, in seconds.
        """
        written = chunks_written(jobs)
        self._samples.append((now, written))
        while now - self._samples[0][0] > WINDOW_SECONDS:
            self._samples.popleft()
        begun, before = self._samples[0]
        rate = (written - before) / (now - begun) if now > begun else 0.0
        return progress_of(jobs, rate)


def progress_of(jobs: Sequence[Job], rate: float) -> Progress:
    """Tell how far some jobs are.

    Args:
        jobs: at least one; the first is the one that is watched, others it waits for.
        rate: chunks per second of the last seconds.
    """
    own = jobs[0]
    chunks = sum(job.count("chunks") for job in jobs)
    written = chunks_written(jobs)
    left = max(chunks - written, 0)
    return Progress(
        documents_done=sum(job.documents_settled for job in jobs),
        documents=sum(_promised(job) for job in jobs),
        chunks_done=written,
        chunks=chunks,
        failed=own.count("documents_unreadable")
        + sum(job.count("documents_failed") for job in jobs),
        unchanged=own.count("documents_unchanged"),
        listing=not own.sealed,
        paused=any(job.halt == "paused" for job in jobs),
        chunks_per_second=rate,
        eta_seconds=left / rate if rate > 0 and own.sealed else None,
        trouble="" if own.drained else own.trouble,
    )


def chunks_written(jobs: Sequence[Job]) -> int:
    """Count the chunks that are in Milvus."""
    return sum(job.count("chunks_written") for job in jobs)


def _promised(job: Job) -> int:
    outcomes = ("documents_new", "documents_changed", "documents_deleted")
    return sum(job.count(outcome) for outcome in outcomes)
