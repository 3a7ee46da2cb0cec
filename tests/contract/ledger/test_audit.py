"""Promises of the audit: it sees what is wrong, and mends that alone."""

from dataclasses import dataclass

import pytest
from redis.asyncio import Redis

from contract.batch import Batch, Chunk, Part
from contract.ledger.audit import Audit
from contract.ledger.connection import text
from contract.ledger.control import Halt, JobControl
from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import Promise, Totals


@dataclass
class Desk:
    """A ledger with unfinished batches: one waits, one is leased, one is put aside."""

    redis: Redis
    ledger: Ledger
    jobs: list[str]
    totals: Totals

    @property
    def audit(self) -> Audit:
        """Its audit."""
        return Audit(self.redis, "books")


@pytest.fixture
async def desk(redis: Redis) -> Desk:
    """Publish three batches of three jobs."""
    ledger, jobs = Ledger(redis, "books"), []
    for at in range(3):
        job = await Jobs(redis, "books").create("s")
        promise = Promise(
            document_id=f"d{at}", source="s", key_bytes=b"k", content_hash="c", chunk_count=2
        )
        (made,) = await ledger.promises.register(job, [promise])
        part = Part(
            document_id=f"d{at}",
            source="s",
            version=made.version,
            content_hash="c",
            chunk_count=2,
            first=0,
            chunks=tuple(Chunk(key=f"k{n}", text="text") for n in range(2)),
        )
        batch = Batch(collection="books", job=job, parts=(part,))
        (batch_id,) = await ledger.publish([batch])
        jobs.append(job)
        if at == 1:
            await ledger.claim(batch_id, "worker:1", 30.0)
    await JobControl(redis, "books").halt(jobs[2], Halt.PAUSED)
    return Desk(redis, ledger, jobs, await ledger.totals())


async def test_books_in_order_agree(desk: Desk) -> None:
    """Wherever a batch is, it is counted once; mending changes nothing."""
    books = await desk.audit.books(mend=True)
    assert books.agree
    assert books.said == books.counted == desk.totals
    assert (desk.totals.batches, desk.totals.chunks) == (3, 6)
    assert await desk.ledger.totals() == desk.totals
    (leased,) = await desk.redis.zrange(desk.ledger.keys.leased, 0, -1)
    await desk.redis.zadd(desk.ledger.keys.waiting, {text(leased): 1})
    assert (await desk.audit.books(mend=False)).agree


async def test_wrong_totals_are_seen_and_set_right(desk: Desk) -> None:
    """A look alone leaves them as they are."""
    await desk.redis.hincrby(desk.ledger.keys.totals, "chunks", 5)
    for _ in range(2):
        books = await desk.audit.books(mend=False)
        assert not books.agree
        assert books.said.chunks == books.counted.chunks + 5
    await desk.audit.books(mend=True)
    assert await desk.ledger.totals() == desk.totals
    assert (await desk.audit.books(mend=False)).agree


async def test_batches_that_are_listed_and_not_there(desk: Desk) -> None:
    """Are struck off every list."""
    keys = desk.ledger.keys
    await desk.redis.zadd(keys.waiting, {"no-batch": 1})
    await desk.redis.zadd(keys.leased, {"nor-this": 1})
    await desk.redis.sadd(keys.parked(desk.jobs[2]), "nor-that")
    books = await desk.audit.books(mend=True)
    assert books.gone == 3
    assert not books.agree
    assert (await desk.audit.books(mend=False)).agree
    assert await desk.ledger.totals() == desk.totals


async def test_documents_that_are_through_are_not_open(desk: Desk) -> None:
    """Those of other jobs, committed or given up ones; what is open stays."""
    keys, job = desk.ledger.keys, desk.jobs[0]
    assert await desk.audit.strays(job, mend=True) == 0
    await desk.redis.sadd(keys.open(job), "d1", "unheard-of")
    assert await desk.audit.strays(job, mend=False) == 2
    assert await desk.audit.strays(job, mend=True) == 2
    assert await desk.redis.smembers(keys.open(job)) == {b"d0"}
    await desk.redis.hset(keys.document("d0"), "withdrawn", 1)
    assert await desk.audit.strays(job, mend=False) == 0
    wanted = await desk.redis.hget(keys.document("d0"), "wanted")
    await desk.redis.hset(keys.document("d0"), "withdrawn", wanted or "")
    assert await desk.audit.strays(job, mend=False) == 1


async def test_a_cancelled_job_is_the_janitor_s(desk: Desk) -> None:
    """What is open of it is cleared up elsewhere."""
    job = desk.jobs[0]
    await desk.redis.sadd(desk.ledger.keys.open(job), "unheard-of")
    await JobControl(desk.redis, "books").halt(job, Halt.CANCELLED)
    assert await desk.audit.strays(job, mend=True) == 0
