"""The bare limit, as a process of its own: rows in, chunks in Milvus, and nothing else.

``python -m headrace.bench.bare`` reads one order (JSON, the fields of ``Order``) from standard
input, writes the rows to a collection that exists, by the plain store of langchain-milvus, and
prints one line of JSON, the fields of ``BareFigures``. It may be killed at any time.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_milvus import Milvus

from contract.batch import decode
from contract.settings import Settings, load_settings
from worker.collections import PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD
from worker.embedding.build import make_embedder
from worker.embedding.embedder import Embedder
from worker.milvus import connection_arguments, quiet_libraries
from worker.store import rows_of


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to write; servers and model come from the settings in the environment."""

    batches: str
    """A file: msgpack list of encoded batches."""
    physical: str
    """Name of the collection itself, no alias."""
    in_flight: int
    """Batches at the same time."""
    embed: bool
    """Embed within the measured time; else the vectors are there before it begins."""


class BareFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured; times on the clock ``time.monotonic`` of this machine."""

    begun: float
    """When the first batch began."""
    marks: list[tuple[float, int]]
    """When a batch was written, and the chunks written by then, in order."""
    cpu_seconds: float
    """User and system time of the process between ``begun`` and the last mark."""
    start_cpu_seconds: float
    """The same, before ``begun``."""


@dataclass(frozen=True, slots=True)
class Rows:
    """One batch, ready to be written."""

    ids: list[str]
    documents: list[Document]


class EmbeddingsOf(Embeddings):
    """The worker's embedder as langchain-milvus asks for it, with vectors known already."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[tuple[str, ...], Any] = {}

    async def remember(self, texts: Sequence[str]) -> None:
        """Embed a batch ahead."""
        self._known[tuple(texts)] = (await self._embedder.embed(texts)).vectors

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Give the vectors of a batch, as rows of an array."""
        known = self._known.get(tuple(texts)) if self._known else None
        return list((await self._embedder.embed(texts)).vectors if known is None else known)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:  # noqa: ARG002
        """Refuse: everything here is asynchronous."""
        raise AssertionError("this store is only written to, asynchronously")

    def embed_query(self, text: str) -> list[float]:  # noqa: ARG002
        """Refuse: nothing is searched here."""
        raise AssertionError("this store is only written to")


async def write_all(
    store: Milvus, batches: Sequence[Rows], *, in_flight: int, timeout_seconds: float
) -> BareFigures:
    """Write all batches, so many at the same time, and measure it."""
    turns = asyncio.Semaphore(in_flight)
    marks: list[tuple[float, int]] = []
    written = 0

    async def write(rows: Rows) -> None:
        nonlocal written
        async with turns:
            await store.aupsert(
                ids=rows.ids,
                documents=rows.documents,
                batch_size=len(rows.ids),
                timeout=timeout_seconds,
            )
        written += len(rows.ids)
        marks.append((time.monotonic(), written))

    start_cpu_seconds, begun = time.process_time(), time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for rows in batches:
            tasks.create_task(write(rows))
    return BareFigures(
        begun=begun,
        marks=marks,
        cpu_seconds=time.process_time() - start_cpu_seconds,
        start_cpu_seconds=start_cpu_seconds,
    )


async def run(settings: Settings, order: Order) -> BareFigures:
    """Carry an order out."""
    batches = _read(Path(order.batches))
    embedder = make_embedder(settings)
    try:
        embeddings = EmbeddingsOf(embedder)
        if not order.embed:
            for rows in batches:
                await embeddings.remember([document.page_content for document in rows.documents])
        store = await asyncio.to_thread(_plain_store, settings, order.physical, embeddings)
        try:
            return await write_all(
                store,
                batches,
                in_flight=order.in_flight,
                timeout_seconds=settings.store_timeout_seconds,
            )
        finally:
            await store.aclient.close()
    finally:
        await embedder.aclose()


def _plain_store(settings: Settings, physical: str, embeddings: Embeddings) -> Milvus:
    return Milvus(
        embedding_function=embeddings,
        collection_name=physical,
        connection_args=connection_arguments(settings),
        primary_field=PRIMARY_FIELD,
        text_field=TEXT_FIELD,
        vector_field=VECTOR_FIELD,
        auto_id=False,
        enable_dynamic_field=True,
    )


def _read(path: Path) -> list[Rows]:
    payloads = msgspec.msgpack.decode(path.read_bytes(), type=list[bytes])
    batches = []
    for payload in payloads:
        rows = [row for part in decode(payload).parts for row in rows_of(part)]
        batches.append(Rows([row.chunk_id for row in rows], [row.document for row in rows]))
    return [rows for rows in batches if rows.ids]


def main() -> None:
    """Read an order, carry it out, print the figures."""
    quiet_libraries()
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    figures = asyncio.run(run(load_settings(), order))
    sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")


if __name__ == "__main__":
    main()
