"""Promises of the one step that reads a whole ledger."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from contract.lane import Lane
from contract.ledger.control import Halt, JobControl
from contract.ledger.survey import LaneState, Survey
from contract.ledger.usage import day_of
from tests.contract.ledger.shelf import Shelf
from tests.contract.ledger.world import SOURCE
from tests.servers.redis import redis_tcp_server


@pytest.fixture
def survey(shelf: Shelf) -> Survey:
    """Give one of the shelf."""
    return Survey(shelf.redis, "books")


async def day(redis: Redis) -> int:
    """Give the day by the clock of Redis."""
    return day_of((await redis.time())[0])


async def test_an_unknown_collection_is_empty(survey: Survey, shelf: Shelf) -> None:
    """Nothing is written by a look."""
    found = await survey.read(await day(shelf.redis))
    assert found.lanes == {Lane.LIVE: LaneState(), Lane.BULK: LaneState()}
    assert not any((found.counters, found.documents, found.tokens_today, found.jobs))
    assert await shelf.redis.keys("*") == []


async def test_whose_turn_a_batch_is(survey: Survey, shelf: Shelf) -> None:
    """Waiting, resting, leased, or parked; the oldest that is not parked has an age."""
    ledger = shelf.ledger
    registered, batches = await shelf.promise("good")
    await shelf.promise("better", document="d1")
    parked, _ = await shelf.promise("good", document="d2")
    await JobControl(shelf.redis, "books").halt(parked.job, Halt.PAUSED)
    await ledger.claim(batches[0].id, "w1", 60.0)
    await ledger.claim(batches[1].id, "w2", 60.0)
    await ledger.release(batches[1].id, "w2", delay_seconds=60.0)
    past = 5_000
    batch = ledger.keys.batch(batches[0].id)
    published = int(await shelf.redis.hget(batch, "published_ms") or 0)
    await shelf.redis.hset(batch, "published_ms", str(published - past))
    found = await survey.read(await day(shelf.redis))
    bulk = found.lanes[Lane.BULK]
    assert (bulk.waiting, bulk.resting, bulk.leased, bulk.parked) == (2, 1, 1, 2)
    assert past <= bulk.oldest_ms < past + 60_000
    assert found.totals.batches == 6
    assert {job.id for job in found.jobs} > {registered.job, parked.job}


async def test_pieces_are_as_old_as_the_whole(survey: Survey, shelf: Shelf) -> None:
    """A split does not make work young again."""
    registered, (batch, *_) = await shelf.promise("good")
    key = shelf.ledger.keys.batch(batch.id)
    await shelf.redis.hincrby(key, "published_ms", -7_000)
    worker = shelf.worker(batch)
    worker.splits = True
    await worker.run()
    assert (await shelf.job(registered)).count("batches_published") == 3
    found = await survey.read(await day(shelf.redis))
    assert found.lanes[Lane.BULK].oldest_ms >= 7_000


async def test_only_new_and_named_jobs_are_given(survey: Survey, shelf: Shelf) -> None:
    """Each once; those that are forgotten are left out."""
    jobs = [await shelf.jobs.create(SOURCE) for _ in range(3)]
    for at, job in enumerate(jobs):
        await shelf.redis.zadd(shelf.ledger.keys.jobs, {job: 100 + at})
    today = await day(shelf.redis)
    named = [jobs[0], jobs[2], "forgotten"]
    found = await survey.read(today, since_ms=102, jobs=named)
    assert sorted(job.id for job in found.jobs) == sorted([jobs[0], jobs[2]])
    assert {job.id for job in (await survey.read(today)).jobs} == set(jobs)


async def test_sources_have_documents(survey: Survey, shelf: Shelf) -> None:
    """Also one that is known by its documents alone; a removed one has no number any more."""
    await shelf.ledger.promises.begin_listing(SOURCE, "/shelf")
    await shelf.ledger.promises.begin_listing("empty: a name", "/dev/null")
    await shelf.redis.hset(shelf.ledger.keys.sources, "gone\0reading", "1")
    await shelf.commit("good")
    today = await day(shelf.redis)
    await shelf.redis.hset(shelf.ledger.keys.usage(today), SOURCE, "5")
    found = await survey.read(today)
    assert found.documents == {SOURCE: 1, "empty: a name": 0}
    assert found.tokens_today == {SOURCE: 5}
    assert found.counters[SOURCE]["documents_committed"] == 1


async def test_a_replica_answers(tmp_path: Path) -> None:
    """The step writes nothing, and says so."""
    folder = tmp_path / "replica"
    folder.mkdir()
    with (
        redis_tcp_server(tmp_path) as first,
        redis_tcp_server(folder) as second,
    ):
        async with Redis.from_url(first.url) as redis, Redis.from_url(second.url) as replica:
            await Shelf(redis).promise("good")
            await redis.config_set("repl-diskless-sync-delay", 0)
            assert isinstance(first.where, tuple)
            await replica.replicaof(*first.where)
            while (await replica.info("replication"))["master_link_status"] != "up":  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            found = await Survey(replica, "books").read(0)
            assert found.totals.batches == 2
