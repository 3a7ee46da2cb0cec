"""Deleting rows where no embedding model is at hand, in collections that others have made."""

import asyncio
from collections.abc import Sequence
from typing import Any

from pymilvus import MilvusClient

from contract.settings import Settings
from worker.milvus import connect, translated


class Eraser:
    """Deletes rows of one collection; makes no collection and loads none."""

    def __init__(self, client: MilvusClient, collection: str, settings: Settings) -> None:
        """Use a synchronous client (the asynchronous one hides errors) that the caller closes."""
        self._client = client
        self._collection = collection
        self._settings = settings

    async def delete(self, ids: Sequence[str]) -> None:
        """Delete rows by primary key, in one call; rows that are not there are no error.

        Raises:
            CollectionGoneError: there is no such collection.
            TransientError: Milvus does not answer.
        """
        with translated(self._settings):
            await asyncio.to_thread(self._delete, list(ids))

    def _delete(self, ids: list[str]) -> Any:
        return self._client.delete(
            self._collection,
            ids=ids,
            timeout=self._settings.store_timeout_seconds,
            retry_on_rate_limit=False,
        )


class Erasers:
    """An eraser for each collection, all on one connection that is made when it is needed."""

    def __init__(self, settings: Settings) -> None:
        """Connect to nothing yet."""
        self._settings = settings
        self._client: MilvusClient | None = None
        self._connecting = asyncio.Lock()

    async def get(self, collection: str) -> Eraser:
        """Give the eraser of a collection, whether or not there is one of that name.

        Raises:
            UnreachableError: Milvus does not answer.
            UsageError: it refuses the credentials.
        """
        async with self._connecting:
            if self._client is None:
                self._client = await asyncio.to_thread(connect, self._settings)
        return Eraser(self._client, collection, self._settings)

    async def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await asyncio.to_thread(self._client.close)
