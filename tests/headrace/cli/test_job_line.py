"""Promises of a job on one line."""

from contract.ledger.jobs import Job
from headrace.cli.job_line import job_line


def _line(price: float | None, **counts: int) -> str:
    job = Job("job-1", "shelf", "docs", 0, 0, 1, sealed=True, trouble="", counts=counts)
    return job_line(job, 0, price)


def test_what_the_cache_saved_stands_at_the_end() -> None:
    """With money where there is a price, and not at all where nothing was saved."""
    counts = {"chunks": 9, "chunks_written": 8, "chunks_cached": 5, "tokens_saved": 1_000_000}
    end = "; 8/9 chunks (5 from the embedding cache, 1000000 tokens saved"
    assert _line(0.02, **counts).endswith(end + ", about $0.0200)")
    assert _line(None, **counts).endswith(end + ")")
    assert _line(0.0, **counts).endswith(end + ")")
    assert _line(0.02, chunks=9, chunks_written=8).endswith("; 8/9 chunks")
