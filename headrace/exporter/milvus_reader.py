"""Small looks into Milvus, each with a time-out and in a thread: one that hangs is given up."""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pymilvus import MilvusClient

from contract.settings import Settings
from worker.collections import PRIMARY_FIELD
from worker.milvus import open_connection, translated

CALL_SECONDS: Final = 10.0
GRACE_SECONDS: Final = 1.0
"""Between the time-out of a call and the end of its thread."""
_STRONG: Final = "Strong"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """A row, by its id."""

    id: str
    chunk_count: int
    """Of its version, as it says; 0 when it does not."""


class MilvusReader:
    """Reads rows of any collection; a call that does not come back takes its connection along."""

    def __init__(self, settings: Settings) -> None:
        """Connect with the first call; closed by ``aclose``."""
        seconds = min(settings.store_timeout_seconds, CALL_SECONDS)
        self._settings = settings.model_copy(update={"store_timeout_seconds": seconds})
        self._seconds = seconds
        self._connection = open_connection(self._settings)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.aclose()

    async def check(self) -> None:
        """See that Milvus answers.

        Raises:
            UnreachableError: it does not; as the other calls, or TimedOutError.
        """
        await self._call(lambda client: client.list_collections(timeout=self._seconds))

    async def count(self, collection: str) -> int:
        """Count the rows of a collection, as a search may see them.

        Raises:
            HeadraceError: there is none, or it is not loaded.
        """
        found = await self._call(
            lambda client: client.query(
                collection, filter="", output_fields=["count(*)"], timeout=self._seconds
            )
        )
        return int(found[0]["count(*)"])

    async def rows_of(self, collection: str, documents: Iterable[str]) -> list[Row]:
        """Give all rows of documents."""
        named = ", ".join(map(json.dumps, documents))
        return await self._rows(collection, f"document_id in [{named}]")

    async def rows_from(self, collection: str, first: str, most: int) -> list[Row]:
        """Give some rows whose ids come after one."""
        return await self._rows(collection, f"{PRIMARY_FIELD} >= {json.dumps(first)}", limit=most)

    async def _rows(self, collection: str, which: str, **more: Any) -> list[Row]:
        found = await self._call(
            lambda client: client.query(
                collection,
                filter=which,
                output_fields=[PRIMARY_FIELD, "chunk_count"],
                consistency_level=_STRONG,
                timeout=self._seconds,
                **more,
            )
        )
        return [Row(str(row[PRIMARY_FIELD]), int(row.get("chunk_count") or 0)) for row in found]

    async def _call(self, call: Callable[[MilvusClient], T]) -> T:
        with translated(self._settings):
            async with self._connection.used() as client:
                async with asyncio.timeout(self._seconds + GRACE_SECONDS):
                    return await asyncio.to_thread(call, client)
