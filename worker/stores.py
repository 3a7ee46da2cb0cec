"""The stores of a process: one for each collection, opened when it is first written to."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable

from pymilvus import MilvusClient
from redis.asyncio import Redis

from contract.errors import CollectionGoneError
from contract.settings import Settings
from worker.collections import ensure_collection, held_model
from worker.embedding.embedder import Embedder
from worker.milvus import open_connection, translated
from worker.store import MilvusStore
from worker.store_metrics import Operation, ignore

CHECK_SECONDS = 5.0
"""Time-out of each call of a check; a thread is held for as long."""
CANARY_ID = "0"
"""Primary key of no row."""


class Stores:
    """Opens each collection once, and anew when it was dropped; makes it if it is not there."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        embedder: Embedder,
        observe: Callable[[Operation, float], None] = ignore,
    ) -> None:
        """Open nothing yet; the caller closes Redis and the embedder, after this.

        Args:
            settings: all of them.
            redis: takes locks.
            embedder: tells what collections are made for.
            observe: told the seconds of each request of the stores.
        """
        self._settings = settings
        self._redis = redis
        self._embedder = embedder
        self._observe = observe
        self._connection = open_connection(settings)
        self._stores: dict[str, MilvusStore] = {}
        self._opened = ""
        """The collection opened last, by its physical name."""
        self._opening: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def get(self, collection: str) -> MilvusStore:
        """Give the store of a collection.

        Raises:
            CollectionMismatchError: the collection holds another schema or model.
            TransientError: Milvus or the embedding endpoint does not answer.
        """
        async with self._opening[collection]:
            store = self._stores.get(collection)
            if store is not None and store.is_gone:
                del self._stores[collection]
                await store.close()
                store = None
            if store is None:
                store = self._stores[collection] = await self._open(collection)
        return store

    async def check(self) -> None:
        """Ask Milvus for a sign of life; changes nothing.

        Deletes a row that does not exist, if a collection is open: that goes the way of all
        writes, while a server whose log is away still lists its collections.

        One that was given up takes its connection with it, so the next goes over a new one.

        Raises:
            TransientError: there is none.
            UsageError: Milvus refuses the credentials.
        """
        async with self._connection.used() as client:
            await self._check(client)

    async def _check(self, client: MilvusClient) -> None:
        with translated(self._settings):
            await asyncio.to_thread(client.list_collections, timeout=CHECK_SECONDS)
            if self._opened:
                with contextlib.suppress(CollectionGoneError), translated(self._settings):
                    await asyncio.to_thread(
                        client.delete,
                        self._opened,
                        ids=[CANARY_ID],
                        timeout=CHECK_SECONDS,
                        retry_on_rate_limit=False,
                    )

    async def close(self) -> None:
        """Close all of them."""
        while self._stores:
            _, store = self._stores.popitem()
            await store.close()
        await self._connection.aclose()

    async def _open(self, collection: str) -> MilvusStore:
        async with self._connection.used() as client:
            with translated(self._settings):
                held = await asyncio.to_thread(held_model, client, collection)
        model = await self._embedder.identify(held)
        async with self._connection.used() as client:
            physical = await ensure_collection(
                client, self._redis, self._settings, collection, model
            )
        self._opened = physical
        return MilvusStore(self._connection, physical, self._settings, self._observe)
