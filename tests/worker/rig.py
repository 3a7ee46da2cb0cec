"""An ingester on real servers, with a shop before it, a mill in it, and hooks in its store."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from contract.errors import TransientError
from contract.lane import Lane
from tests.worker.mill import Mill
from tests.worker.shop import Shop
from worker.embedding.embedder import Embedder
from worker.ingest import Ingester, Limits
from worker.outcome import Outcome
from worker.retrier import Retrier
from worker.retry import MAX_ATTEMPTS, RetryPolicy
from worker.solitude import Solitude
from worker.store import MilvusStore, Row, Store, StoredRow
from worker.stores import Stores

QUICK = RetryPolicy(attempts=3, first_seconds=0.01, longest_seconds=0.05)
Hook = Callable[[], Awaitable[None]]


class Killed(BaseException):
    """Ends everything on the spot, as kill -9 does: nothing is released."""


class Rig:
    """One worker, or more of them, in this process.

    Attributes:
        before: what happens, once, before the next call of the store of this name.
        after: likewise, after it.
        announced: the batches that were announced.
        lanes: in which they were.
        opening_error: why the store can't be opened.
        retrier: of the ingesters that are made from now on.
        embedder: likewise.
    """

    def __init__(self, shop: Shop, stores: Stores, mill: Mill) -> None:
        """Put it together."""
        self.shop = shop
        self.stores = stores
        self.mill = mill
        self.embedder: Embedder = mill
        self.seconds = 0.0
        self.before: defaultdict[str, list[Hook]] = defaultdict(list)
        self.after: defaultdict[str, list[Hook]] = defaultdict(list)
        self.announced: list[str] = []
        self.lanes: set[Lane] = set()
        self.opening_error: TransientError | None = None
        self.retrier = Retrier(QUICK, {})
        self.solitude = Solitude()
        self.ingester = self.make("w:")

    def make(self, worker_id: str, lease_seconds: float = 30.0, timeout: float = 30.0) -> Ingester:
        """Make an ingester, one more worker in the same process."""
        return Ingester(
            worker_id=worker_id,
            ledger_of=lambda _: self.shop.ledger,
            store_of=self.store_of,
            embedder=self.embedder,
            retrier=self.retrier,
            limits=Limits(lease_seconds, timeout),
            solitude=self.solitude,
            app_announce=self.announce,
            now=lambda: asyncio.get_running_loop().time() + self.seconds,
        )

    async def store_of(self, collection: str) -> Store:
        """Open the store."""
        if self.opening_error is not None:
            raise self.opening_error
        return _Hooked(self, await self.stores.get(collection))

    async def announce(self, collection: str, batch_ids: Sequence[str], lane: Lane) -> None:
        """Remember what is announced."""
        assert collection == self.shop.collection
        self.announced += batch_ids
        self.lanes.add(lane)

    async def ingest(self, batch_id: str) -> Outcome:
        """Ingest a batch."""
        return (await self.ingester.ingest(self.shop.collection, batch_id)).outcome

    async def killed_in(self, batch_id: str) -> None:
        """Ingest a batch, be killed by a hook, and have it taken away from the dead."""
        try:
            await self.ingest(batch_id)
        except Killed:
            await self.shop.ledger.sweep(silent_owner=self.ingester.worker_id)
        else:
            raise AssertionError("nobody was killed")

    async def worn_out(self, batch_id: str, first_error: str = "before") -> None:
        """Let a batch have failed so often that it is to blame itself from now on."""
        fields = ["attempts", str(MAX_ATTEMPTS), "first_error", first_error]
        await self.shop.redis.hset(self.shop.ledger.keys.batch(batch_id), items=fields)

    async def crashed(self, batch_id: str, crashes: int, alone: int = 0) -> None:
        """Let workers have died with a batch in hand."""
        fields = ["crashes", str(crashes), "alone_crashes", str(alone)]
        await self.shop.redis.hset(self.shop.ledger.keys.batch(batch_id), items=fields)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "it never came true"
            await asyncio.sleep(0.01)

    async def attempts(self, batch_id: str) -> int:
        """Read how many attempts of a batch have failed."""
        found = await self.shop.redis.hget(self.shop.ledger.keys.batch(batch_id), "attempts")
        return int(found or 0)

    async def until_finished(self, batch_id: str) -> None:
        """Try until a batch has rested and is finished."""
        deadline = time.monotonic() + 10
        while await self.ingest(batch_id) is not Outcome.FINISHED:
            assert time.monotonic() < deadline, "it was never finished"
            await asyncio.sleep(0.05)


async def kill() -> None:
    """Be a hook that kills the worker."""
    raise Killed


class _Hooked:
    """A store around whose calls something else happens."""

    def __init__(self, rig: Rig, store: MilvusStore) -> None:
        self.rig = rig
        self.store = store

    async def upsert(
        self,
        rows: Sequence[Row],
        vectors: NDArray[np.float32],
        *,
        check: Callable[[], None],
        urgent: bool,  # noqa: ARG002 - nothing waits here
    ) -> None:
        """Write, after a look at the lease."""
        check()
        await self._happen(self.rig.before["upsert"])
        await self.store.upsert(rows, vectors)
        await self._happen(self.rig.after["upsert"])

    async def read(self, ids: Sequence[str], *, vectors: bool) -> dict[str, StoredRow]:
        """Read."""
        await self._happen(self.rig.before["read"])
        found = await self.store.read(ids, vectors=vectors)
        await self._happen(self.rig.after["read"])
        return found

    async def delete(self, ids: Sequence[str]) -> None:
        """Delete."""
        await self._happen(self.rig.before["delete"])
        await self.store.delete(ids)
        await self._happen(self.rig.after["delete"])

    async def delete_older(self, document_id: str, version: int) -> None:
        """Delete older versions."""
        await self.store.delete_older(document_id, version)

    async def _happen(self, hooks: list[Hook]) -> None:
        if hooks:
            await hooks.pop(0)()
