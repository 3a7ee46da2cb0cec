"""A job on one line."""

import time

from contract.ledger.jobs import Job


def job_line(job: Job, now_ms: int) -> str:
    """Write a job for a person: id, begin (UTC), state, source, how far it is."""
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(job.created_ms / 1000))
    failed = job.count("documents_failed") + job.count("documents_unreadable")
    return (
        f"{job.id}  {began}  {job.state(now_ms).value:<11}  {job.source}: "
        f"{job.count('documents_new')} new, {job.count('documents_changed')} changed, "
        f"{job.count('documents_unchanged')} unchanged, {failed} failed; "
        f"{job.count('chunks_written')}/{job.count('chunks')} chunks"
    )
