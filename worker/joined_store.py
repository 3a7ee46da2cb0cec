"""A store whose writes are joined: rows of concurrent batches travel in one upsert."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from worker.coalescing import Coalescer, Departure, Joining
from worker.concurrency import Gate
from worker.store import MilvusStore, Row, StoredRow
from worker.stores import Stores

_Item: TypeAlias = tuple[Row, NDArray[np.float32]]

MAX_BYTES = 8 * 1024 * 1024
"""Of text and vectors in a joined upsert: an eighth of what gRPC carries."""


class JoinedStore:
    """A :class:`~worker.store.Store` in front of one collection's; for one event loop.

    Args:
        store: writes; the caller closes it.
        rows: most rows of a joined upsert.
        wait_seconds: longest wait for others.
        gate: how many upserts there are at once, shared by all collections of a server.
        observe: told of each upsert that leaves.
    """

    def __init__(
        self,
        store: MilvusStore,
        rows: int,
        wait_seconds: float,
        gate: Gate,
        observe: Callable[[Departure], None] = lambda _: None,
    ) -> None:
        self.store = store
        joining = Joining(rows, MAX_BYTES, wait_seconds)
        self._lanes: dict[bool, Coalescer[_Item, range]] = {
            urgent: Coalescer(self._send, joining, gate, urgent=urgent, observe=observe)
            for urgent in (True, False)
        }

    async def upsert(
        self,
        rows: Sequence[Row],
        vectors: NDArray[np.float32],
        *,
        check: Callable[[], None] = lambda: None,
        urgent: bool = False,
    ) -> None:
        """Write rows, with those of other calls; see ``Store.upsert``."""
        size = vectors.nbytes + sum(len(row.document.page_content) for row in rows)
        await self._lanes[urgent].call(list(zip(rows, vectors, strict=True)), size, check)

    async def read(self, ids: Sequence[str], *, vectors: bool) -> dict[str, StoredRow]:
        """Read rows by id."""
        return await self.store.read(ids, vectors=vectors)

    async def delete(self, ids: Sequence[str]) -> None:
        """Delete rows by id."""
        await self.store.delete(ids)

    async def delete_older(self, document_id: str, version: int) -> None:
        """Delete all rows of a document's older versions."""
        await self.store.delete_older(document_id, version)

    async def _send(self, items: Sequence[_Item]) -> range:
        # Two who hold the same batch, one of them too late, have the same rows; in one upsert
        # the real server would keep both.
        unique = {row.chunk_id: (row, vector) for row, vector in items}
        rows = [row for row, _ in unique.values()]
        await self.store.upsert(rows, np.stack([vector for _, vector in unique.values()]))
        return range(len(items))


class JoinedStores:
    """The joined stores of a process: one for each collection that is open.

    Args:
        stores: opens collections; the caller closes it.
        make: puts a joined store in front of one.
    """

    def __init__(self, stores: Stores, make: Callable[[MilvusStore], JoinedStore]) -> None:
        self._stores = stores
        self._make = make
        self._joined: dict[str, JoinedStore] = {}

    async def get(self, collection: str) -> JoinedStore:
        """Give the store of a collection; raises what ``Stores.get`` raises."""
        store = await self._stores.get(collection)
        joined = self._joined.get(collection)
        if joined is None or joined.store is not store:
            joined = self._joined[collection] = self._make(store)
        return joined
