"""Samples of batches that are looked for, on real servers."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from contract.batch import Batch, decode
from contract.errors import UnreachableError
from contract.ids import chunk_ids
from contract.lane import Lane
from tests.worker.rig import Rig
from worker.freshness_metrics import Sight
from worker.outcome import Ingested, Outcome
from worker.probe import INTERVAL_SECONDS, MOST_AT_ONCE, Probe
from worker.store import Store

AGE_SECONDS = 7.0


class Watch:
    """A probe with a clock that is set by hand, and what it has seen.

    Attributes:
        door: opened for those who look for a store.
    """

    def __init__(self, rig: Rig, patience_seconds: float = 30.0) -> None:
        """Look for what the rig writes."""
        self.rig = rig
        self.seconds = 0.0
        self.seen: list[tuple[Sight, Lane, float]] = []
        self.door = asyncio.Event()
        self.door.set()
        self.probe = Probe(self.store_of, self.observe, self.now, patience_seconds)

    def now(self) -> float:
        """Tell the time: that of the loop, and what was set."""
        return asyncio.get_running_loop().time() + self.seconds

    async def store_of(self, collection: str) -> Store:
        """Open the store."""
        await self.door.wait()
        return await self.rig.store_of(collection)

    def observe(self, sight: Sight, lane: Lane, age_seconds: float) -> None:
        """Note what was seen."""
        self.seen.append((sight, lane, age_seconds))

    async def batch(self, **documents: str) -> Batch:
        """Publish documents, and give their batch."""
        batch_id = await self.rig.shop.order(**documents)
        payload = await self.rig.shop.redis.hget(
            self.rig.shop.ledger.keys.batch(batch_id), "payload"
        )
        assert isinstance(payload, bytes)
        return decode(payload)

    async def written(self, **documents: str) -> Batch:
        """Publish documents, and bring them to their end."""
        batch = await self.batch(**documents)
        assert await self.rig.ingest(batch.id) is Outcome.FINISHED
        return batch

    def offer(self, batch: Batch, *, dead: tuple[str, ...] = ()) -> None:
        """Say that a batch is through."""
        ingested = Ingested(Outcome.FINISHED, dead=dead, age_seconds=AGE_SECONDS)
        self.probe.offer(self.rig.shop.ledger, batch, ingested)

    async def ended(self) -> None:
        """Wait until nothing is looked for."""
        await self.rig.until(lambda: not self.probe._looks)

    def lose(self, batch: Batch) -> None:
        """Delete the rows of a batch behind everyone's back."""
        ids = [
            name
            for part in batch.parts
            for name in chunk_ids(part.document_id, part.version, part.ordinals)
        ]
        self.rig.shop.client.delete(self.rig.shop.collection, ids=ids)


@pytest.fixture
async def watch(rig: Rig) -> AsyncIterator[Watch]:
    """Give a probe."""
    watch = Watch(rig)
    yield watch
    await watch.probe.aclose()


async def test_what_is_written_is_seen(watch: Watch) -> None:
    """The time goes on from the age of the batch until its rows are read."""
    batch = await watch.written(one="a b", two="c", three="d e f")
    watch.door.clear()
    watch.offer(batch)
    watch.seconds += 5.0
    watch.door.set()
    await watch.ended()
    ((sight, lane, age_seconds),) = watch.seen
    assert (sight, lane) == (Sight.VISIBLE, Lane.BULK)
    assert AGE_SECONDS + 5.0 <= age_seconds < AGE_SECONDS + 15.0


async def test_it_is_an_ingester_that_offers(rig: Rig, watch: Watch) -> None:
    """A batch that is through is looked for; one that is not, or of unknown age, is not."""
    rig.ingester._probe = watch.probe
    old, new, late = [await rig.shop.order(**{name: "a"}) for name in ("one", "two", "three")]
    await rig.shop.redis.hdel(rig.shop.ledger.keys.batch(old), "published_ms")
    await rig.ingest(old)
    rig.mill.denial = UnreachableError("away")
    await rig.ingest(new)
    rig.mill.denial = None
    assert not watch.probe._looks
    ingested = await rig.ingester.ingest(rig.shop.collection, late)
    assert len(watch.probe._looks) == 1
    await watch.ended()
    ((sight, _, age_seconds),) = watch.seen
    assert sight is Sight.VISIBLE
    assert ingested.age_seconds is not None
    assert ingested.waited_seconds is not None
    assert ingested.waited_seconds <= ingested.age_seconds <= age_seconds


async def test_one_a_second_and_not_too_many_at_once(watch: Watch) -> None:
    """However much is written, and however long a store takes."""
    watch.door.clear()
    batch = await watch.written(one="a")
    for _ in range(3):
        watch.offer(batch)
    assert len(watch.probe._looks) == 1
    for _ in range(2 * MOST_AT_ONCE):
        watch.seconds += INTERVAL_SECONDS
        watch.offer(batch)
    assert len(watch.probe._looks) == MOST_AT_ONCE


async def test_rows_that_are_superseded_are_not_missed(watch: Watch) -> None:
    """A newer version has deleted them: there is nothing to be seen, and nothing to be told."""
    batch = await watch.written(one="a b")
    watch.door.clear()
    watch.offer(batch)
    await watch.written(one="c")
    watch.door.set()
    await watch.ended()
    assert watch.seen == []


async def test_rows_that_never_come_are_unseen(rig: Rig) -> None:
    """After the patience, and though others of the batch were seen."""
    watch = Watch(rig, patience_seconds=0.1)
    one, _ = await watch.written(one="a"), await watch.written(two="b")
    watch.lose(one)
    watch.offer(one)
    await watch.ended()
    assert [sight for sight, *_ in watch.seen] == [Sight.UNSEEN]


async def test_rows_that_come_late_are_waited_for(watch: Watch) -> None:
    """They are looked for again."""
    batch = await watch.batch(one="a b")
    watch.offer(batch)
    await asyncio.sleep(0.1)
    assert watch.seen == []
    assert await watch.rig.ingest(batch.id) is Outcome.FINISHED
    await watch.ended()
    assert [sight for sight, *_ in watch.seen] == [Sight.VISIBLE]


async def test_an_outage_is_told_and_hurts_nobody(watch: Watch) -> None:
    """A look that fails is counted as that."""
    batch = await watch.written(one="a")
    watch.rig.opening_error = UnreachableError("away")
    watch.offer(batch)
    await watch.ended()
    assert [sight for sight, *_ in watch.seen] == [Sight.FAILED]


async def test_what_has_no_rows_is_not_looked_for(watch: Watch) -> None:
    """Neither deletions, nor a batch with parts that were not written."""
    batch = await watch.written(one="a")
    watch.offer(batch, dead=("StoreRejectedError",))
    assert not watch.probe._looks
    deletion = await watch.written(one="")
    watch.offer(deletion)
    assert not watch.probe._looks


async def test_closing_gives_up(watch: Watch) -> None:
    """Nobody waits for a look at the end, and nothing is told of it."""
    batch = await watch.batch(one="a")
    watch.offer(batch)
    await asyncio.sleep(0.05)
    async with asyncio.timeout(2):
        await watch.probe.aclose()
    assert not watch.probe._looks
    assert watch.seen == []
