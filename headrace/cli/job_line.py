"""A job on one line."""

import time

from contract.ledger.jobs import Job
from contract.prices import cost_usd
from headrace.savings import savings_text

_ALWAYS = frozenset({"new", "changed", "unchanged", "failed"})


def job_line(job: Job, now_ms: int, price: float | None) -> str:
    """Write a job for a person: id, begin (UTC), state, source, how far it is, what it saved.

    Args:
        job: what to write of.
        now_ms: the time.
        price: US dollars per million tokens, if known.
    """
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(job.created_ms / 1000))
    failed = job.count("documents_failed") + job.count("documents_unreadable")
    counted = {
        "new": job.count("documents_new"),
        "changed": job.count("documents_changed"),
        "deleted": job.count("documents_deleted"),
        "unchanged": job.count("documents_unchanged"),
        "failed": failed,
        "superseded": job.count("documents_superseded"),
        "cancelled": job.count("documents_cancelled"),
    }
    numbers = ", ".join(
        f"{number} {what}" for what, number in counted.items() if number or what in _ALWAYS
    )
    tokens = job.count("tokens_saved")
    saved = savings_text(job.count("chunks_cached"), tokens, cost_usd(tokens, price))
    return (
        f"{job.id}  {began}  {job.state(now_ms).value:<14}  {job.source}: {numbers}; "
        f"{job.count('chunks_written')}/{job.count('chunks')} chunks"
        + (f" ({saved})" if saved else "")
    )
