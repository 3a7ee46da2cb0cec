"""How far an import is: pure arithmetic over a job's counters."""

from collections import deque
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
        own = jobs[0]
        chunks = sum(job.count("chunks") for job in jobs)
        written = sum(job.count("chunks_written") for job in jobs)
        self._samples.append((now, written))
        while now - self._samples[0][0] > WINDOW_SECONDS:
            self._samples.popleft()
        begun, before = self._samples[0]
        rate = (written - before) / (now - begun) if now > begun else 0.0
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


def _promised(job: Job) -> int:
    outcomes = ("documents_new", "documents_changed", "documents_deleted")
    return sum(job.count(outcome) for outcome in outcomes)
