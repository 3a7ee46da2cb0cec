"""The way of one batch through a worker."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from pymilvus import MilvusClient
from redis.asyncio import Redis

from contract.errors import EmbeddingDeniedError, ThrottledError, UnreachableError
from contract.ledger.records import ClaimState
from contract.settings import Settings
from tests.worker.mill import Mill
from tests.worker.shop import Shop
from worker.ingest import Ingester, Limits, Store
from worker.outcome import Outcome, Stage
from worker.retry import RetryPolicy
from worker.store import MilvusStore, Row
from worker.stores import Stores

QUICK = RetryPolicy(attempts=3, first_seconds=0.01, longest_seconds=0.05)


class Rig:
    """An ingester with a shop before it and a mill in it."""

    def __init__(self, shop: Shop, stores: Stores, mill: Mill) -> None:
        """Put it together."""
        self.shop = shop
        self.stores = stores
        self.mill = mill
        self.seconds = 0.0
        self.after_write: Callable[[], Awaitable[None]] | None = None
        self.ingester = self.make("w:")

    def make(self, worker_id: str, lease_seconds: float = 30.0, timeout: float = 30.0) -> Ingester:
        """Make an ingester, one more worker."""
        return Ingester(
            worker_id=worker_id,
            ledger_of=lambda _: self.shop.ledger,
            store_of=self.store_of,
            embedder=self.mill,
            limits=Limits(lease_seconds, timeout, QUICK),
            now=lambda: asyncio.get_running_loop().time() + self.seconds,
        )

    async def store_of(self, collection: str) -> Store:
        """Open the store."""
        return _Hooked(self, await self.stores.get(collection))

    async def ingest(self, batch_id: str) -> Outcome:
        """Ingest a batch."""
        return (await self.ingester.ingest(self.shop.collection, batch_id)).outcome

    async def until_finished(self, batch_id: str) -> None:
        """Try until a batch has rested and is finished."""
        deadline = time.monotonic() + 10
        while await self.ingest(batch_id) is not Outcome.FINISHED:
            assert time.monotonic() < deadline, "it was never finished"
            await asyncio.sleep(0.05)


class _Hooked:
    """A store after whose first write something else happens."""

    def __init__(self, rig: Rig, store: MilvusStore) -> None:
        self.rig = rig
        self.store = store
        self.delete = store.delete

    async def upsert(self, rows: Sequence[Row], vectors: NDArray[np.float32]) -> None:
        """Write, then let it happen."""
        await self.store.upsert(rows, vectors)
        if self.rig.after_write is not None:
            then, self.rig.after_write = self.rig.after_write, None
            await then()


@pytest.fixture
async def rig(
    redis: Redis, lite_settings: Settings, lite_client: MilvusClient, collection: str
) -> AsyncIterator[Rig]:
    """Put a rig together, on real servers."""
    mill = Mill()
    stores = Stores(lite_settings, redis, mill)
    yield Rig(Shop(redis, lite_client, collection), stores, mill)
    await stores.close()


async def test_documents_become_searchable(rig: Rig) -> None:
    """All chunks are written, the documents committed, the job counted, the batch gone."""
    batch_id = await rig.shop.order(one="a b c", two="d")
    ingested = await rig.ingester.ingest(rig.shop.collection, batch_id)
    assert rig.shop.rows() == {"one": ["a", "b", "c"], "two": ["d"]}
    assert (ingested.outcome, ingested.chunks, ingested.documents) == (Outcome.FINISHED, 4, 2)
    assert (ingested.tokens, ingested.text_bytes, ingested.dead) == (4, 4, ())
    assert set(ingested.seconds) == {Stage.EMBED, Stage.WRITE, Stage.COMMIT}
    assert await rig.shop.finished()
    job = await rig.shop.state()
    assert job.count("documents_committed") == 2
    assert job.count("chunks_written") == 4


async def test_a_copy_of_a_message_is_dropped(rig: Rig) -> None:
    """Later or at the same time: one of them does the work, and nothing counts twice."""
    batch_id = await rig.shop.order(one="a b")
    outcomes = await asyncio.gather(*(rig.ingest(batch_id) for _ in range(4)))
    assert sorted(outcomes) == [Outcome.DROPPED] * 3 + [Outcome.FINISHED]
    assert await rig.ingest(batch_id) is Outcome.DROPPED
    assert await rig.shop.count("chunks_written") == 2
    assert len(rig.mill.calls) == 1


async def test_equal_texts_are_embedded_once(rig: Rig) -> None:
    """Within a batch each text is sent once, and written wherever it occurs."""
    await rig.ingest(await rig.shop.order(one="a b a", two="b"))
    assert rig.mill.calls == [["a", "b"]]
    assert rig.shop.rows() == {"one": ["a", "b", "a"], "two": ["b"]}


async def test_a_new_version_replaces_the_old(rig: Rig) -> None:
    """After an update no chunk of the older version is left."""
    await rig.ingest(await rig.shop.order(one="a b c"))
    await rig.ingest(await rig.shop.order(one="x"))
    assert rig.shop.rows() == {"one": ["x"]}


async def test_a_version_without_chunks_deletes(rig: Rig) -> None:
    """A deleted document leaves no row, and others stay; nothing is embedded for it."""
    await rig.ingest(await rig.shop.order(one="a b", two="c"))
    rig.mill.calls.clear()
    assert await rig.ingest(await rig.shop.order(one="")) is Outcome.FINISHED
    assert rig.shop.rows() == {"two": ["c"]}
    assert rig.mill.calls == []


async def test_a_deleted_document_that_never_was(rig: Rig) -> None:
    """Deleting what has no rows is fine."""
    assert await rig.ingest(await rig.shop.order(one="")) is Outcome.FINISHED
    assert rig.shop.rows() == {}


async def test_a_superseded_batch_costs_no_embedding(rig: Rig) -> None:
    """What is not wanted any more when it is claimed is neither embedded nor written."""
    old = await rig.shop.order(one="a b c")
    new = await rig.shop.order(one="x")
    assert await rig.ingest(old) is Outcome.FINISHED
    assert rig.mill.calls == []
    await rig.ingest(new)
    assert rig.shop.rows() == {"one": ["x"]}
    assert await rig.shop.finished()


async def test_superseded_while_it_is_embedded(rig: Rig) -> None:
    """Rows of a version that was superseded meanwhile are taken out again."""
    old = await rig.shop.order(one="a b c", two="d")
    newer: list[str] = []

    async def update() -> None:
        newer.append(await rig.shop.order(one="x"))

    rig.mill.before = update
    assert await rig.ingest(old) is Outcome.FINISHED
    assert rig.shop.rows() == {"two": ["d"]}
    await rig.ingest(newer[0])
    assert rig.shop.rows() == {"one": ["x"], "two": ["d"]}


async def test_superseded_between_write_and_settling(rig: Rig) -> None:
    """The look after the write finds the newer version, and the rows are taken out again."""
    old = await rig.shop.order(one="a b c")
    newer: list[str] = []

    async def update() -> None:
        newer.append(await rig.shop.order(one="x"))

    rig.after_write = update
    await rig.ingest(old)
    assert rig.shop.rows() == {}
    await rig.ingest(newer[0])
    assert rig.shop.rows() == {"one": ["x"]}


async def test_a_late_worker_does_not_touch_the_newer_version(rig: Rig) -> None:
    """A worker that wakes up after the newer version is committed removes its own rows only."""
    old = await rig.shop.order(one="a b c")

    async def overtake() -> None:
        new = await rig.shop.order(one="x")
        await rig.make("other:").ingest(rig.shop.collection, new)

    rig.mill.before = overtake
    assert await rig.ingest(old) is Outcome.FINISHED
    assert rig.shop.rows() == {"one": ["x"]}


async def test_two_workers_at_one_batch(rig: Rig) -> None:
    """One that lost its lease after writing, and its successor: the result is there once."""
    batch_id = await rig.shop.order(one="a b c")

    async def lose() -> None:
        await rig.shop.ledger.sweep(silent_owner="w:")
        await rig.make("other:").ingest(rig.shop.collection, batch_id)

    rig.after_write = lose
    await rig.ingest(batch_id)
    assert rig.shop.rows() == {"one": ["a", "b", "c"]}
    assert await rig.shop.finished()
    assert await rig.shop.count("chunks_written") == 3


async def test_the_last_part_commits(rig: Rig) -> None:
    """A document in several batches is committed by whichever is last, whatever the order."""
    await rig.ingest(await rig.shop.order(one="old"))
    (whole,) = await rig.shop.parts(one="a b c")
    halves = [
        msgspec.structs.replace(whole, chunks=whole.chunks[:2]),
        msgspec.structs.replace(whole, chunks=whole.chunks[2:], first=2),
    ]
    ids = [await rig.shop.publish(half) for half in halves]
    await rig.ingest(ids[1])
    assert sorted(rig.shop.rows()["one"]) == ["c", "old"]
    await rig.ingest(ids[0])
    assert rig.shop.rows() == {"one": ["a", "b", "c"]}


async def test_a_refused_text_costs_its_document_alone(rig: Rig) -> None:
    """Its document is withdrawn with a dead letter, all others of the batch are committed."""
    batch_id = await rig.shop.order(one="a b", two="c poison d", three="e")
    ingested = await rig.ingester.ingest(rig.shop.collection, batch_id)
    assert rig.shop.rows() == {"one": ["a", "b"], "three": ["e"]}
    assert ingested.dead == ("EmbeddingRefusedError",)
    (letter,) = await rig.shop.ledger.dead_letters()
    assert (letter.document_id, letter.stage, letter.key) == ("two", "embed", "two.md")
    assert await rig.shop.count("documents_failed") == 1
    assert await rig.shop.finished()


async def test_a_refused_row_costs_its_document_alone(rig: Rig) -> None:
    """What Milvus refuses is found among the rows of the batch."""
    good, bad = await rig.shop.parts(one="a b", two="c d")
    bad = msgspec.structs.replace(bad, metadata={"bytes": b"x", "path": "two.md"})
    await rig.ingest(await rig.shop.publish(good, bad))
    assert rig.shop.rows() == {"one": ["a", "b"]}
    (letter,) = await rig.shop.ledger.dead_letters()
    assert (letter.document_id, letter.stage) == ("two", "write")


async def test_a_document_that_turned_bad_keeps_its_last_good_version(rig: Rig) -> None:
    """A search finds what was there before the update that can't be ingested."""
    await rig.ingest(await rig.shop.order(one="a b"))
    await rig.ingest(await rig.shop.order(one="a poison"))
    assert rig.shop.rows() == {"one": ["a", "b"]}


async def test_a_short_outage_is_waited_out(rig: Rig) -> None:
    """Failures that pass cost attempts, not the batch."""
    rig.mill.failures = [UnreachableError("away"), ThrottledError("slow down", 0.01)]
    ingested = await rig.ingester.ingest(rig.shop.collection, await rig.shop.order(one="a"))
    assert ingested.outcome is Outcome.FINISHED
    assert ingested.retries == {
        (Stage.EMBED, "UnreachableError"): 1,
        (Stage.EMBED, "ThrottledError"): 1,
    }


async def test_a_long_outage_gives_the_batch_back(rig: Rig) -> None:
    """It rests in the ledger, as long as was asked for, and then it is done."""
    batch_id = await rig.shop.order(one="a")
    rig.mill.denial = ThrottledError("slow down", 0.4)
    assert await rig.ingest(batch_id) is Outcome.GIVEN_BACK
    claim = await rig.shop.ledger.claim(batch_id, "early", 1.0)
    assert claim.state is ClaimState.EARLY
    assert (await rig.shop.state()).trouble == "slow down"
    rig.mill.denial = None
    await rig.until_finished(batch_id)
    assert rig.shop.rows() == {"one": ["a"]}


async def test_a_wrong_key_makes_no_dead_letters(rig: Rig) -> None:
    """Batches rest until someone has mended the configuration."""
    batch_id = await rig.shop.order(one="a", two="b")
    rig.mill.denial = EmbeddingDeniedError("wrong key")
    assert await rig.ingest(batch_id) is Outcome.GIVEN_BACK
    assert await rig.shop.ledger.dead_letters() == []
    assert not await rig.shop.finished()
    claim = await rig.shop.ledger.claim(batch_id, "early", 1.0)
    assert claim.state is ClaimState.EARLY


async def test_a_batch_that_takes_too_long_is_given_back(rig: Rig) -> None:
    """A call that never ends does not hold a slot for ever."""
    rig.mill.gate.clear()
    slow = rig.make("slow:", timeout=0.3)
    ingested = await slow.ingest(rig.shop.collection, await rig.shop.order(one="a"))
    assert (ingested.outcome, ingested.reason) == (Outcome.GIVEN_BACK, "TimeoutError")


async def test_nothing_is_written_after_the_lease_is_lost(rig: Rig) -> None:
    """A worker that was stopped for long finds its lease over, on its own clock, and stops."""
    batch_id = await rig.shop.order(one="a")
    await rig.stores.get(rig.shop.collection)

    async def sleep_long() -> None:
        rig.seconds += 25.0

    rig.mill.before = sleep_long
    assert await rig.ingest(batch_id) is Outcome.LOST
    assert rig.shop.rows() == {}
    assert not await rig.shop.finished()


async def test_a_batch_taken_away_is_not_written(rig: Rig) -> None:
    """Once another worker has the batch, the first one drops what it holds."""
    batch_id = await rig.shop.order(one="a")
    await rig.stores.get(rig.shop.collection)
    rig.mill.gate.clear()
    hasty = rig.make("w:", lease_seconds=0.15)
    first = asyncio.create_task(hasty.ingest(rig.shop.collection, batch_id))
    await rig.mill.entered.wait()
    await rig.shop.ledger.sweep(silent_owner="w:")
    claim = await rig.shop.ledger.claim(batch_id, "other", 30.0)
    assert claim.state is ClaimState.CLAIMED
    await asyncio.sleep(0.2)  # more than one renewal
    rig.mill.gate.set()
    assert (await first).outcome is Outcome.LOST
    assert rig.shop.rows() == {}


async def test_a_cancelled_batch_is_given_back_at_once(rig: Rig) -> None:
    """Whoever comes next can claim it, without waiting for a lease to end."""
    batch_id = await rig.shop.order(one="a")
    rig.mill.gate.clear()
    task = asyncio.create_task(rig.ingest(batch_id))
    await rig.mill.entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    rig.mill.gate.set()
    assert await rig.ingest(batch_id) is Outcome.FINISHED
    assert rig.shop.rows() == {"one": ["a"]}


@pytest.mark.parametrize("steps", [2**power for power in range(0, 14, 2)])
async def test_cancelled_anywhere_nothing_is_held(rig: Rig, steps: int) -> None:
    """At whatever await it is cancelled, the batch can be claimed again at once."""
    batch_id = await rig.shop.order(one="a")
    await rig.stores.get(rig.shop.collection)
    task = asyncio.create_task(rig.ingest(batch_id))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    again = await rig.ingest(batch_id)
    assert again is Outcome.FINISHED or await rig.shop.finished()
    assert rig.shop.rows() == {"one": ["a"]}


async def test_a_dropped_collection_is_opened_anew(rig: Rig) -> None:
    """The batch rests a moment, and its next attempt makes the collection and writes."""
    await rig.ingest(await rig.shop.order(one="a"))
    rig.shop.client.drop_collection(f"{rig.shop.collection}_1")
    batch_id = await rig.shop.order(two="b")
    assert await rig.ingest(batch_id) is Outcome.GIVEN_BACK
    await rig.until_finished(batch_id)
    assert rig.shop.rows() == {"two": ["b"]}


async def test_an_unknown_document_leaves_no_rows(rig: Rig) -> None:
    """Parts that the ledger knows nothing of are superseded by nothing, and dropped."""
    (part,) = await rig.shop.parts(one="a")
    batch_id = await rig.shop.publish(part)
    await rig.shop.redis.delete(rig.shop.ledger.keys.document("one"))
    assert await rig.ingest(batch_id) is Outcome.FINISHED
    assert rig.shop.rows() == {}
