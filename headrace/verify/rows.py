"""Reading a collection as it is: all ids in order, some by id; never a vector."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from pymilvus import MilvusClient

from contract.settings import Settings
from worker.collections import PRIMARY_FIELD, held_model
from worker.milvus import connect, quiet_libraries, translated

PAGE = 16_000
"""Ids in one page of the stream: Milvus Lite looks at every row for each page; 16,384 is the
most that may be asked for."""
IDS_TOGETHER = 2_000
"""Rows that are read or deleted by id in one call."""
FIRST_LIMIT = 4_000
SMALLEST_LIMIT = 100
PAGE_SECONDS = 120.0
_STRONG = "Strong"
_FACTS = ("document_id", "version", "source", "content_hash", "chunk_count", "path")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Facts:
    """What one row says of its document's version."""

    document_id: str
    version: int
    source: str
    content_hash: str
    chunk_count: int
    path: str


class Rows:
    """The rows of one collection; one that does not exist has none."""

    def __init__(
        self,
        client: MilvusClient,
        collection: str,
        settings: Settings,
        *,
        exists: bool,
        thread: Executor,
    ) -> None:
        """Use :meth:`open` instead."""
        self.collection = collection
        self.exists = exists
        self._client = client
        self._thread = thread
        self._settings = settings

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, collection: str) -> AsyncIterator["Rows"]:
        """Connect, and load the collection if it is there; closed with the block.

        Raises:
            UnreachableError: Milvus does not answer.
            CollectionMismatchError: the collection is not one of headrace's.
        """
        quiet_libraries()
        client = await asyncio.to_thread(connect, settings)
        try:
            with translated(settings):
                exists = await asyncio.to_thread(held_model, client, collection) is not None
                if exists:
                    await asyncio.to_thread(
                        client.load_collection, collection, timeout=PAGE_SECONDS
                    )
            # One thread: each has a heap of its own, which keeps room for its largest page.
            with ThreadPoolExecutor(1, "rows") as thread:
                yield cls(client, collection, settings, exists=exists, thread=thread)
        finally:
            await asyncio.to_thread(client.close)

    async def pages(self) -> AsyncIterator[list[str]]:
        """Give the ids of all rows in rising order.

        What was acknowledged before the call is seen; what comes or goes later may be.
        """
        # An iterator reads as the collection is set up to be read, which may leave out the last
        # seconds. After a strong query every shard has caught up.
        if await self.is_empty():
            return
        last, limit = None, FIRST_LIMIT
        while page := await self._page(last, limit):
            yield page
            last = page[-1]
            # A server may give many times the limit, the more segments it has, and far less.
            limit = max(min(limit * PAGE // len(page), 2 * limit, PAGE), SMALLEST_LIMIT)

    async def _page(self, last: str | None, limit: int) -> list[str]:
        """Do a step of pymilvus' query iterator, which stumbles over quotes in ids."""
        rows = await self._call(
            lambda: self._client.query(
                self.collection,
                filter=f'{PRIMARY_FIELD} >= ""'
                if last is None
                else f"{PRIMARY_FIELD} > {_quoted(last)}",
                limit=limit,
                output_fields=[PRIMARY_FIELD],
                timeout=PAGE_SECONDS,
                iterator="True",
                reduce_stop_for_best="True",
            )
        )
        return [str(row[PRIMARY_FIELD]) for row in rows]

    async def is_empty(self) -> bool:
        """Tell whether there is no row at all."""
        if not self.exists:
            return True
        found = await self._query(filter="", limit=1, output_fields=[PRIMARY_FIELD])
        return not found

    async def present(self, ids: Iterable[str]) -> set[str]:
        """Tell which of these rows are there."""
        return {str(row[PRIMARY_FIELD]) async for row in self._by_id(ids, [PRIMARY_FIELD])}

    async def facts(self, ids: Iterable[str]) -> dict[str, Facts]:
        """Read what rows say of their documents; rows that are not there are left out."""
        return {
            str(row[PRIMARY_FIELD]): Facts(
                str(row["document_id"]),
                int(row["version"]),
                str(row["source"]),
                str(row["content_hash"]),
                _count(row.get("chunk_count")),
                str(row.get("path") or ""),
            )
            async for row in self._by_id(ids, list(_FACTS))
        }

    async def delete(self, ids: Iterable[str]) -> None:
        """Delete rows by id; by the synchronous client, which tells when the server refused."""
        for some in slices(ids, IDS_TOGETHER):
            await self._call(
                lambda some=some: self._client.delete(  # type: ignore[misc]
                    self.collection,
                    filter=_among(some),
                    timeout=self._settings.store_timeout_seconds,
                )
            )

    async def count(self, *, first: str | None = None, last: str = "") -> int:
        """Count rows, also those that are there twice; all, or those from one id to another."""
        span = (
            ""
            if first is None
            else (f"{PRIMARY_FIELD} >= {_quoted(first)} and {PRIMARY_FIELD} <= {_quoted(last)}")
        )
        found = await self._query(filter=span, output_fields=["count(*)"])
        return int(found[0]["count(*)"])

    async def _by_id(self, ids: Iterable[str], fields: list[str]) -> AsyncIterator[Any]:
        if not self.exists:
            return
        for some in slices(ids, IDS_TOGETHER):
            for row in await self._query(filter=_among(some), output_fields=fields):
                yield row

    async def _query(self, **what: Any) -> Any:
        return await self._call(
            lambda: self._client.query(
                self.collection, timeout=PAGE_SECONDS, consistency_level=_STRONG, **what
            )
        )

    async def _call(self, call: Callable[[], T]) -> T:
        with translated(self._settings):
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)


def slices(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut what comes into lists of so many items."""
    every = iter(items)
    while some := list(islice(every, size)):
        yield some


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _among(ids: Iterable[str]) -> str:
    """Name rows in Milvus' language; pymilvus' own way does not escape quotes."""
    return f"{PRIMARY_FIELD} in [{', '.join(map(_quoted, ids))}]"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
