"""Promises of the janitor, with a real Redis and a real Milvus Lite."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import pytest
from redis.asyncio import Redis

from contract.errors import UnreachableError
from contract.ledger.control import Halt
from contract.ledger.jobs import JobState
from contract.ledger.records import ClaimState
from contract.names import Keys
from contract.settings import Settings
from contract.tasks import end
from tests.worker.conftest import drop
from tests.worker.house import LATER_SECONDS, LEASE_SECONDS, House, open_house
from worker.eraser import Erasers
from worker.janitor import LOCK_SECONDS, Janitor, Store


@pytest.fixture
async def house(lite_settings: Settings, redis: Redis, collection: str) -> AsyncIterator[House]:
    """Give an empty collection with an empty ledger."""
    async with open_house(lite_settings, redis, collection) as house:
        yield house


@pytest.fixture
async def erasers(lite_settings: Settings) -> AsyncIterator[Erasers]:
    """Give the way to the rows."""
    erasers = Erasers(lite_settings)
    yield erasers
    await erasers.close()


@pytest.fixture
def janitor(house: House, erasers: Erasers) -> Janitor:
    """Give a janitor who waits for nobody in vain."""
    return Janitor(house.redis, erasers.get, LATER_SECONDS)


async def clear(janitor: Janitor, house: House) -> int:
    """Let a janitor work until there is nothing left to do for now."""
    done = 0
    while now := await janitor.clear_once(house.collection):
        done += now
    return done


async def test_rows_of_a_superseded_version_are_deleted_once_more(
    house: House, janitor: Janitor
) -> None:
    """What a worker wrote too late is gone when the quarantine is over, and not before."""
    first = await house.promise("a", 3)
    await house.commit(first)
    second = await house.promise("a", 2, "2")
    await house.commit(second)  # of the first version, it has deleted nothing
    assert len(house.rows()) == 5
    assert await clear(janitor, house) == 0
    assert len(house.rows()) == 5, "the quarantine is not over"
    await house.redis.zadd(Keys(house.collection).graves, {f"a {first.version} 3": 1})
    assert await clear(janitor, house) == 1
    assert house.rows() == [("a", second.version)] * 2
    assert await house.graves() == 0


async def test_the_graves_of_a_dropped_collection_are_closed(
    house: House, janitor: Janitor
) -> None:
    """With the collection all rows are gone; nothing is made anew for that."""
    await house.commit(await house.promise("a", 3))
    house.quarantine_seconds = 0.0
    await house.commit(await house.promise("a", 2, "2"))
    drop(house.client, house.collection)
    assert await clear(janitor, house) == 1
    assert await house.graves() == 0
    assert not house.client.has_collection(house.collection)


async def test_a_cancelled_job_leaves_what_was_committed(house: House, janitor: Janitor) -> None:
    """Done stays done; what was half done is gone, and what was not begun as well."""
    done = await house.promise("done", 2)
    await house.commit(done)
    before = await house.promise("changed", 1)
    await house.commit(before)
    half, changed = await house.promise("half", 2), await house.promise("changed", 2, "2")
    late = await house.promise("late", 2)  # never published
    batch_id = await house.publish(half, changed)
    assert (await house.ledger.claim(batch_id, "worker:1", LEASE_SECONDS)).payload
    house.write(half, changed)
    assert await house.control.halt(house.job, Halt.CANCELLED)
    assert await clear(janitor, house) == 0, "a worker is at it still"
    await house.ledger.release(batch_id, "worker:1")
    assert await clear(janitor, house) == 3
    assert house.rows() == sorted([("done", done.version)] * 2 + [("changed", before.version)])
    job = await house.state()
    assert job.state(0) is JobState.CANCELLED
    assert job.count("documents_cancelled") == 3
    assert job.drained
    assert (await house.ledger.totals()).batches == 0
    assert await house.control.cancelled_jobs() == []
    assert await house.graves() == 3
    assert await clear(janitor, house) == 0
    house.job = ""
    again = await house.promise("late", 2)
    assert again.version > late.version, "the next import begins anew"


async def test_what_a_dead_worker_held_is_cleared_up_without_it(
    house: House, erasers: Erasers
) -> None:
    """After its patience a janitor goes on; a lease that has ended stops it at no time."""
    part = await house.promise("a", 2)
    batch_id = await house.publish(part)
    await house.ledger.claim(batch_id, "worker:1", LEASE_SECONDS)
    house.write(part)
    await house.control.halt(house.job, Halt.CANCELLED)
    clock = [0.0]
    janitor = Janitor(house.redis, erasers.get, LATER_SECONDS, now=lambda: clock[0])
    assert await clear(janitor, house) == 0
    clock[0] = 61.0
    assert await clear(janitor, house) == 1
    assert house.rows() == []
    assert await house.control.cancelled_jobs() == []


async def test_a_lease_that_has_ended_is_no_worker(house: House, janitor: Janitor) -> None:
    """A killed worker's batch is struck off as soon as its lease is over."""
    batch_id = await house.publish(await house.promise("a", 2))
    await house.ledger.claim(batch_id, "worker:1", 0.001)
    await house.control.halt(house.job, Halt.CANCELLED)
    await asyncio.sleep(0.01)
    assert await clear(janitor, house) == 1
    assert (await house.ledger.totals()).batches == 0
    assert (await house.state()).drained


async def test_a_forgotten_job_is_left_to_the_workers(house: House, janitor: Janitor) -> None:
    """Of a job whose counters are gone nothing is held back."""
    batch_id = await house.publish(await house.promise("a", 2))
    await house.redis.delete(Keys(house.collection).job(house.job))
    await house.redis.sadd(Keys(house.collection).cancelled, house.job)
    assert await clear(janitor, house) == 1
    claim = await house.ledger.claim(batch_id, "worker:1", LEASE_SECONDS)
    assert (claim.state, claim.crashes) == (ClaimState.CLAIMED, 0)


async def test_many_janitors_at_once_count_once(house: House, erasers: Erasers) -> None:
    """Whoever is killed or overtaken in the middle, each document is given up once."""
    parts = [await house.promise(f"document{n}", 1) for n in range(230)]
    await house.publish(*parts)
    house.write(*parts)
    await house.control.halt(house.job, Halt.CANCELLED)
    janitors = [Janitor(house.redis, erasers.get, LATER_SECONDS) for _ in range(4)]
    await asyncio.gather(*(clear(janitor, house) for janitor in janitors))
    assert (await house.state()).count("documents_cancelled") == 230
    assert house.rows() == []
    assert await house.control.cancelled_jobs() == []


async def test_an_outage_of_milvus_loses_nothing(house: House, erasers: Erasers) -> None:
    """A janitor that can't delete forgets nothing, and goes on by itself."""
    part = await house.promise("a", 2)
    await house.publish(part)
    house.write(part)
    await house.control.halt(house.job, Halt.CANCELLED)
    down = asyncio.Event()
    calls: list[str] = []

    class Away:
        async def delete(self, ids: Sequence[str]) -> None:
            calls.extend(ids)
            raise UnreachableError("Milvus can't be reached")

    async def store_of(collection: str) -> Store:
        return await erasers.get(collection) if down.is_set() else Away()

    janitor = Janitor(house.redis, store_of, LATER_SECONDS)
    with pytest.raises(UnreachableError):
        await janitor.clear_once(house.collection)
    assert calls
    keeping = asyncio.create_task(janitor.keep_clearing(house.settings))
    down.set()
    deadline = time.monotonic() + LOCK_SECONDS
    while await house.control.cancelled_jobs():
        assert not keeping.done()
        assert time.monotonic() < deadline, "the janitor did not go on"
        await asyncio.sleep(0.02)
    await end(keeping)
    assert house.rows() == []
    assert (await house.state()).count("documents_cancelled") == 1


async def test_one_janitor_works_at_a_time(house: House, erasers: Erasers) -> None:
    """Who finds the lock taken leaves the work to the other, and the lock is given back."""
    await house.publish(await house.promise("a", 2))
    await house.control.halt(house.job, Halt.CANCELLED)
    lock = house.redis.lock(Keys(house.collection).lock("janitor"), timeout=60, blocking=False)
    assert await lock.acquire()
    janitor = Janitor(house.redis, erasers.get, LATER_SECONDS)
    assert await janitor._clear_alone(house.collection, house.settings) == 0
    await lock.release()
    assert await janitor._clear_alone(house.collection, house.settings) == 1
    assert not await lock.locked()
