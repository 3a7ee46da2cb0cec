"""Jobs: counters, states, and how they are found and forgotten."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from contract.ledger import jobs as module
from contract.ledger.jobs import Job, Jobs, JobState, collections, find_job
from tests.contract.ledger.shelf import Shelf

NOW_MS = 1_800_000_000_000


def job(*, sealed: bool = False, seen_ms: int = NOW_MS, **counts: int) -> Job:
    """Make a job."""
    return Job(
        id="j",
        collection="books",
        source="shelf",
        created_ms=0,
        seen_ms=seen_ms,
        finished_ms=0,
        sealed=sealed,
        trouble="",
        counts=counts,
    )


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (job(), JobState.LISTING),
        (job(seen_ms=NOW_MS - 14_000), JobState.LISTING),
        (job(seen_ms=NOW_MS - 16_000), JobState.INTERRUPTED),
        (replace(job(), watching=True), JobState.WATCHING),
        (replace(job(seen_ms=NOW_MS - 16_000), watching=True), JobState.INTERRUPTED),
        (replace(job(), watching=True, halt="paused"), JobState.PAUSED),
        (replace(job(sealed=True), watching=True), JobState.DONE),
        (job(sealed=True, batches_published=2, batches_finished=1), JobState.INGESTING),
        (job(sealed=True, batches_published=2, batches_finished=2, seen_ms=0), JobState.DONE),
    ],
)
def test_state(found: Job, state: JobState) -> None:
    """A job's state follows from its counters and from when its producer was heard of."""
    assert found.state(NOW_MS) is state


async def test_create_and_get(redis: Redis) -> None:
    """A new job is listed, found in any collection, and begins with nothing."""
    jobs = Jobs(redis, "books")
    name = await jobs.create("shelf")
    found = await jobs.get(name)
    assert found is not None
    assert (found.source, found.collection, found.sealed) == ("shelf", "books", False)
    assert found.count("documents_new") == 0
    assert found.created_ms == found.seen_ms > NOW_MS - 200_000_000_000
    assert await find_job(redis, name) == found
    assert await find_job(redis, "none") is None
    assert await Jobs(redis, "films").get(name) is None
    await Jobs(redis, "films").create("reel")
    assert await collections(redis) == ["books", "films"]


async def test_report_and_seal(redis: Redis) -> None:
    """A producer's counters are set, not added, so a repeated report changes nothing."""
    jobs = Jobs(redis, "books")
    name = await jobs.create("shelf")
    for _ in range(2):
        await jobs.report(name, {"documents_listed": 7})
    await jobs.note_trouble(name, "x" * 5_000)
    found = await jobs.get(name)
    assert found is not None
    assert (found.count("documents_listed"), found.finished_ms) == (7, 0)
    assert len(found.trouble) == module.LONGEST_TROUBLE
    await jobs.seal(name, {"documents_listed": 8})
    found = await jobs.get(name)
    assert found is not None
    assert found.state(found.seen_ms) is JobState.DONE
    assert found.finished_ms == found.seen_ms >= found.created_ms


async def test_the_last_batch_ends_the_job(shelf: Shelf) -> None:
    """A job is finished when it is sealed and its last batch is struck off, not before."""
    registered, batches = await shelf.promise("good")
    await shelf.ingest(batches[0])
    await shelf.jobs.seal(registered.job, {})
    found = await shelf.job(registered)
    assert (found.state(found.seen_ms), found.finished_ms) == (JobState.INGESTING, 0)
    await shelf.ingest(batches[1])
    found = await shelf.job(registered)
    assert found.state(found.seen_ms) is JobState.DONE
    assert found.finished_ms >= found.seen_ms


async def test_latest(redis: Redis) -> None:
    """The newest jobs come first."""
    jobs = Jobs(redis, "books")
    names = [await jobs.create("shelf") for _ in range(3)]
    for at, name in enumerate(names):
        await redis.zadd(jobs.keys.jobs, {name: at})
    assert [found.id for found in await jobs.latest(2)] == names[:0:-1]
    assert len(await jobs.latest(9)) == 3


async def test_old_jobs_are_forgotten_but_not_live_ones(redis: Redis) -> None:
    """Of more than so many jobs the oldest go, unless their producer still reports."""
    jobs = Jobs(redis, "books")
    watch = await jobs.create("watch")
    old = await jobs.create("shelf")
    await redis.hset(jobs.keys.job(old), "seen_ms", 1)
    pipe = redis.pipeline()
    pipe.zadd(jobs.keys.jobs, {watch: 1, old: 2})
    pipe.zadd(jobs.keys.jobs, {f"j{at}": 10 + at for at in range(module.KEPT_JOBS - 1)})
    await pipe.execute()
    newest = await jobs.create("shelf")
    assert await jobs.get(old) is None
    assert await redis.zscore(jobs.keys.jobs, old) is None
    assert await jobs.get(watch) is not None
    assert await jobs.get(newest) is not None
    assert await redis.zcard(jobs.keys.jobs) == module.KEPT_JOBS + 1
