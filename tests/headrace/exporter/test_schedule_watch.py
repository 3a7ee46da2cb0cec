"""Promises of what is told of schedules, with real Redis."""

import time

import pytest
from redis.asyncio import Redis

from headrace.exporter import catalogue as c
from headrace.exporter.catalogue import Section
from headrace.exporter.samples import Samples
from headrace.exporter.schedule_watch import ScheduleWatch
from headrace.schedules import names
from headrace.schedules.book import Book
from headrace.schedules.leases import Leases
from headrace.schedules.run import RunState
from tests.headrace.schedules.runs import MINUTE, added, begun


async def scrape(watch: ScheduleWatch) -> Samples:
    """Read, and give what a scrape shows."""
    samples = Samples()
    samples.begin(Section.SCHEDULES)
    (await watch.read()).put(samples, time.time())
    return samples


async def test_schedules_and_their_runs(redis: Redis) -> None:
    """Overdue, due next, its last success; runs that have ended are read once."""
    book, leases, watch = Book(redis), Leases(redis), ScheduleWatch(redis)
    zero = await added(book)
    samples = await scrape(watch)
    made = samples.value(c.SCHEDULE_SUCCESS, "nightly")
    assert abs(made - time.time()) < 60
    assert samples.value(c.OVERDUE, "nightly") == 0
    assert samples.value(c.INTERVAL, "nightly") == 60
    assert samples.value(c.NEXT_DUE, "nightly") == zero / 1000 + 60
    await book.fire("nightly", zero + MINUTE + 1)
    (run,) = await book.runs("nightly")
    claimed = await begun(leases, run.id)
    assert (await scrape(watch)).value(c.RUNS, "nightly", "running") == 1
    await leases.end(claimed, RunState.DONE, "", {})
    await redis.hset(names.run(run.id), "finished_ms", "5000")
    samples = await scrape(watch)
    assert samples.value(c.SCHEDULE_SUCCESS, "nightly") == 5
    await redis.delete(names.run(run.id))
    samples = await scrape(watch)
    assert samples.value(c.RUNS, "nightly", "done") == 1
    assert samples.value(c.RUNS, "nightly", "running") == 0
    await redis.hset(names.state("nightly"), "last_slot", str(zero - 10 * MINUTE))
    assert (await scrape(watch)).value(c.OVERDUE, "nightly") == 1
    await book.pause("nightly", paused=True)
    samples = await scrape(watch)
    assert samples.value(c.SCHEDULES, "paused") == 1
    assert samples.value(c.SCHEDULES, "active") == samples.value(c.NEXT_DUE, "nightly") == 0
    await book.remove("nightly")
    samples = await scrape(watch)
    assert samples.value(c.SCHEDULES, "paused") == 0
    with pytest.raises(KeyError):
        samples.value(c.OVERDUE, "nightly")
