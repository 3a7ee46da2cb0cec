"""The ledger in itself: do its sums agree with what it lists, and is anybody at work?"""

import time

from redis.asyncio import Redis

from contract.ledger.audit import Audit, Books
from contract.ledger.control import JobControl
from contract.ledger.jobs import KEPT_JOBS, Jobs, JobState
from headrace.verify.differences import Difference, Findings, Kind

_AT_WORK = frozenset({JobState.LISTING, JobState.WATCHING, JobState.PAUSED})
"""Jobs that may publish a batch at any moment."""


async def check_books(redis: Redis, collection: str, findings: Findings, *, mend: bool) -> bool:
    """Compare sums with lists; each comparison is one atomic step, so others may work.

    Args:
        redis: a client that the caller closes.
        collection: whose ledger.
        findings: takes what differs.
        mend: set the sums to what is there.

    Returns:
        Whether nobody is at work: no batch is unfinished, and no job may still publish one.
    """
    audit = Audit(redis, collection)
    books = await audit.books(mend=mend)
    if not books.agree:
        findings.add(
            Difference(kind=Kind.LEDGER, subject="totals", detail=_books(books), mended=mend)
        )
    now_ms = round(time.time() * 1000)
    at_rest = not books.counted.batches and not await JobControl(redis, collection).cancelled_jobs()
    for job in await Jobs(redis, collection).latest(KEPT_JOBS):
        at_rest = at_rest and job.state(now_ms) not in _AT_WORK
        strays = await audit.strays(job.id, mend=mend)
        if strays:
            findings.add(
                Difference(
                    kind=Kind.LEDGER,
                    subject=f"job {job.id}",
                    detail=f"{strays} documents count as open though they are through",
                    mended=mend,
                )
            )
    return at_rest


def _books(books: Books) -> str:
    said, counted = books.said, books.counted
    return (
        f"unfinished are {counted.batches} batches, {counted.chunks} chunks, "
        f"{counted.bytes} bytes; the totals say {said.batches}, {said.chunks}, {said.bytes}"
        + (f"; {books.gone} batches are listed and not there" if books.gone else "")
    )
