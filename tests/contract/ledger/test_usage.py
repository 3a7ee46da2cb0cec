"""Promises of what is counted for a day, and of what is set aside before it is used."""

from typing import Any

import pytest
from redis.asyncio import Redis

from contract.batch import Batch, Chunk, Part
from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import Finish, PartMark, Promise
from contract.ledger.usage import DAY_SECONDS, Reservation, Reserved, Usage, day_of

NAME = "shelf"


class Desk:
    """A ledger with jobs, of which each may use tokens."""

    def __init__(self, redis: Redis) -> None:
        """Begin with nothing."""
        self.redis = redis
        self.ledger = Ledger(redis, NAME)
        self.jobs = Jobs(redis, NAME)
        self.usage = Usage(redis, NAME)

    async def now(self) -> float:
        """Give the clock of Redis, in seconds."""
        seconds, _ = await self.redis.time()
        return float(seconds)

    async def today(self) -> int:
        """Give the day."""
        return day_of(await self.now())

    async def batch(self, job: str, key: str, source: str = "docs") -> Batch:
        """Promise and publish a document of one chunk."""
        promise = Promise(
            document_id=key, source=source, key_bytes=b"k", content_hash="h", chunk_count=1
        )
        (made,) = await self.ledger.promises.register(job, [promise])
        part = Part(
            document_id=key,
            source=source,
            version=made.version,
            content_hash="h",
            chunk_count=1,
            first=0,
            chunks=(Chunk(key="c", text="text"),),
        )
        batch = Batch(collection=NAME, job=job, parts=(part,))
        await self.ledger.publish([batch])
        return batch

    async def finish(self, batch: Batch, tokens: int) -> bool:
        """Bring a batch to its end."""
        marks = [PartMark(p.document_id, p.version, p.first, p.units) for p in batch.parts]
        settled = await self.ledger.settle(marks)
        verdicts = tuple(item.verdict for item in settled)
        return await self.ledger.finish(
            batch.id, batch.job, Finish(tuple(marks), verdicts, 1, tokens)
        )

    async def reserve(self, job: str, *costs: int, **more: Any) -> Reserved:
        """Set tokens aside, of 100 that the source may use today."""
        values: dict[str, Any] = {
            "source": "docs",
            "day": await self.today(),
            "run": [job],
            "run_tokens": None,
            "day_tokens": 100,
            **more,
        }
        return await self.usage.reserve(Reservation(job=job, costs=costs, **values))


@pytest.fixture
def desk(redis: Redis) -> Desk:
    """Give one with an empty Redis."""
    return Desk(redis)


async def test_what_a_batch_used_counts_once_for_its_source_and_day(desk: Desk) -> None:
    """Finished twice, by two workers, it was paid for once; the day is forgotten one day."""
    job = await desk.jobs.create("docs")
    batch = await desk.batch(job, "a")
    assert await desk.finish(batch, 7) is True
    assert await desk.finish(batch, 7) is False
    await desk.finish(await desk.batch(job, "b"), 5)
    other = await desk.jobs.create("notes")
    await desk.finish(await desk.batch(other, "c", "notes"), 3)
    today = await desk.today()
    assert await desk.usage.of_day(today) == {"docs": 12, "notes": 3}
    assert await desk.usage.of_day(today - 1) == {}
    left = await desk.redis.ttl(desk.ledger.keys.usage(today))
    assert DAY_SECONDS < left <= 7 * DAY_SECONDS


async def test_a_batch_of_a_forgotten_job_counts_too(desk: Desk) -> None:
    """The source is known by its documents."""
    job = await desk.jobs.create("docs")
    batch = await desk.batch(job, "a")
    await desk.redis.delete(desk.ledger.keys.job(job))
    await desk.finish(batch, 7)
    assert await desk.usage.of_day(await desk.today()) == {"docs": 7}


async def test_so_many_documents_as_fit(desk: Desk) -> None:
    """In order: one that does not fit stops those behind it, but for those that cost nothing."""
    job = await desk.jobs.create("docs")
    assert await desk.reserve(job, 60, 0, 41, 0, 1) == Reserved(2, 0, 0)
    assert await desk.reserve(job, 40, 0, 1) == Reserved(2, 60, 60)
    assert await desk.reserve(job, 1) == Reserved(0, 100, 100)


async def test_what_is_used_counts_instead_of_what_was_set_aside(desk: Desk) -> None:
    """While batches are under way the larger of both counts; afterwards what was used."""
    job = await desk.jobs.create("docs")
    await desk.reserve(job, 90)
    first, second = await desk.batch(job, "a"), await desk.batch(job, "b")
    await desk.finish(first, 20)
    assert (await desk.reserve(job, 11)).documents == 0
    await desk.finish(second, 10)
    assert (await desk.reserve(job, 11)).today == 90
    assert await desk.reserve(job, 71, 70, through=True) == Reserved(0, 30, 30)
    assert (await desk.reserve(job, 70, 1)).documents == 1


async def test_more_than_was_set_aside(desk: Desk) -> None:
    """An endpoint that counts more than we do is believed."""
    job = await desk.jobs.create("docs")
    await desk.reserve(job, 50)
    await desk.finish(await desk.batch(job, "a"), 120)
    assert await desk.reserve(job, 1, through=True) == Reserved(0, 120, 120)


async def test_runs_of_a_source_share_its_day(desk: Desk) -> None:
    """What another has set aside is taken, until that one is through; other sources don't count."""
    one, two, other = [await desk.jobs.create(name) for name in ("docs", "docs", "notes")]
    await desk.reserve(one, 60)
    assert await desk.reserve(two, 41, 40) == Reserved(0, 0, 60)
    assert (await desk.reserve(two, 40)).documents == 1
    assert await desk.reserve(other, 100, source="notes") == Reserved(1, 0, 0)
    await desk.jobs.seal(one, {})
    assert (await desk.reserve(two, 61)).today == 40
    assert await desk.redis.hexists(desk.ledger.keys.reserved, one) is False


async def test_what_a_killed_producer_set_aside_is_free_once_its_batches_are_through(
    desk: Desk,
) -> None:
    """It counts while something of it is under way, and while it may still publish."""
    one, two = await desk.jobs.create("docs"), await desk.jobs.create("docs")
    await desk.reserve(one, 60)
    batch = await desk.batch(one, "a")
    silent = round((await desk.now() - 60) * 1000)
    await desk.redis.hset(desk.ledger.keys.job(one), "seen_ms", silent)
    assert (await desk.reserve(two, 50)).documents == 0
    await desk.finish(batch, 30)
    assert await desk.reserve(two, 50) == Reserved(1, 0, 30)


async def test_a_run_of_several_jobs(desk: Desk) -> None:
    """Its budget is one for all of them, whatever their sources."""
    one, two = await desk.jobs.create("docs"), await desk.jobs.create("notes")
    limits = {"run_tokens": 100, "day_tokens": None}
    await desk.reserve(one, 70, **limits)
    await desk.finish(await desk.batch(one, "a"), 50)
    await desk.jobs.seal(one, {})
    more = {**limits, "run": [one, two], "source": "notes"}
    assert await desk.reserve(two, 51, 50, **more) == Reserved(0, 50, 0)
    assert await desk.reserve(two, 50, 1, **more) == Reserved(1, 50, 0)


async def test_another_day_begins_anew(desk: Desk) -> None:
    """Also where the producer's clock is ahead: then what its own job used since counts."""
    job = await desk.jobs.create("docs")
    await desk.reserve(job, 100)
    await desk.finish(await desk.batch(job, "a"), 100)
    tomorrow = {"day": await desk.today() + 1, "through": True}
    assert await desk.reserve(job, 100, **tomorrow) == Reserved(1, 100, 0)
    await desk.finish(await desk.batch(job, "b"), 100)
    assert await desk.reserve(job, 1, **tomorrow) == Reserved(0, 200, 100)
