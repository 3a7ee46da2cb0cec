"""Promises of the progress arithmetic."""

from contract.ledger.jobs import Job
from headrace.progress import WINDOW_SECONDS, ProgressMeter


def _job(*, sealed: bool = True, trouble: str = "", halt: str = "", **counts: int) -> Job:
    return Job("job", "shelf", "docs", 0, 0, 0, sealed, trouble, counts, halt)


def test_counts_of_all_jobs_are_added() -> None:
    """Chunks and documents of the awaited jobs count, unchanged ones only of the own job."""
    own = _job(
        documents_new=3, documents_changed=1, documents_committed=1, documents_failed=1,
        documents_unreadable=2, documents_unchanged=7, chunks=40, chunks_written=10,
        batches_published=4,
    )  # fmt: skip
    other = _job(documents_new=5, documents_committed=4, documents_unchanged=9, chunks=50)
    progress = ProgressMeter().measure([own, other], 0.0)
    assert (progress.documents_done, progress.documents) == (6, 9)
    assert (progress.chunks_done, progress.chunks) == (10, 90)
    assert (progress.failed, progress.unchanged) == (3, 7)
    assert progress.chunks_per_second == 0.0
    assert progress.eta_seconds is None


def test_deletions_are_documents_too() -> None:
    """What is promised to go counts, or more would be done than there is."""
    progress = ProgressMeter().measure([_job(documents_deleted=2, documents_committed=2)], 0.0)
    assert (progress.documents_done, progress.documents) == (2, 2)


def test_a_pause_of_any_of_the_jobs_shows() -> None:
    """Also one of a job that is waited for."""
    meter = ProgressMeter()
    assert not meter.measure([_job(), _job()], 0.0).paused
    assert meter.measure([_job(), _job(halt="paused")], 0.0).paused


def test_the_rate_is_that_of_the_last_seconds() -> None:
    """A fast beginning does not flatter the rate for ever."""
    meter = ProgressMeter()
    meter.measure([_job(chunks=1_000)], 0.0)
    fast = meter.measure([_job(chunks=1_000, chunks_written=500)], 5.0)
    assert fast.chunks_per_second == 100.0
    assert fast.eta_seconds == 5.0
    late = 5.0 + WINDOW_SECONDS
    slow = meter.measure([_job(chunks=1_000, chunks_written=515)], late)
    assert slow.chunks_per_second == 1.0
    assert slow.eta_seconds == 485.0


def test_nothing_is_estimated_while_listing() -> None:
    """As long as more may come, there is no time left to tell."""
    meter = ProgressMeter()
    meter.measure([_job(sealed=False, chunks=10)], 0.0)
    progress = meter.measure([_job(sealed=False, chunks=10, chunks_written=5)], 1.0)
    assert progress.listing
    assert progress.chunks_per_second == 5.0
    assert progress.eta_seconds is None


def test_trouble_is_shown_only_while_there_is_work() -> None:
    """What went wrong and was mended is no trouble any more."""
    busy = _job(trouble="Milvus is away", batches_published=2, batches_finished=1)
    done = _job(trouble="Milvus is away", batches_published=2, batches_finished=2)
    assert ProgressMeter().measure([busy], 0.0).trouble == "Milvus is away"
    assert ProgressMeter().measure([done], 0.0).trouble == ""
