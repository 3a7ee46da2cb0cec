"""Deleting rows where no embedding model is at hand, in collections that others have made."""

import asyncio
import time
from collections.abc import Callable, Sequence

from pymilvus import MilvusClient

from contract.settings import Settings
from worker.milvus import open_connection, translated
from worker.renewable import Renewable
from worker.store_metrics import Operation, ignore


class Eraser:
    """Deletes rows of one collection; makes no collection and loads none."""

    def __init__(
        self,
        connection: Renewable[MilvusClient],
        collection: str,
        settings: Settings,
        observe: Callable[[Operation, float], None] = ignore,
    ) -> None:
        """Use a connection that the caller closes; ``observe`` is told the seconds of requests."""
        self._observe = observe
        self._connection = connection
        self._collection = collection
        self._settings = settings

    async def delete(self, ids: Sequence[str]) -> None:
        """Delete rows by primary key, in one call; rows that are not there are no error.

        By the synchronous client: the asynchronous one hides errors.

        Raises:
            CollectionGoneError: there is no such collection.
            TransientError: Milvus does not answer.
        """
        async with self._connection.used() as client:
            begun = time.monotonic()
            try:
                with translated(self._settings):
                    await asyncio.to_thread(
                        client.delete,
                        self._collection,
                        ids=list(ids),
                        timeout=self._settings.store_timeout_seconds,
                        retry_on_rate_limit=False,
                    )
            finally:
                self._observe(Operation.DELETE, time.monotonic() - begun)


class Erasers:
    """An eraser for each collection, all on one connection that is made when it is needed."""

    def __init__(
        self, settings: Settings, observe: Callable[[Operation, float], None] = ignore
    ) -> None:
        """Connect to nothing yet; ``observe`` is told the seconds of each request."""
        self._settings = settings
        self._observe = observe
        self._connection = open_connection(settings)

    async def get(self, collection: str) -> Eraser:
        """Give the eraser of a collection, whether or not there is one of that name."""
        return Eraser(self._connection, collection, self._settings, self._observe)

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.aclose()
