"""The bare limit, as a process of its own: rows in, chunks in Milvus, and nothing else.

``python -m headrace.bench.bare`` reads one order (JSON, the fields of ``Order``) from standard
input, takes the rows through what the variant names, into a collection that exists, and prints
one line of JSON, the fields of ``BareFigures``. It may be killed at any time.
"""

import asyncio
import functools
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from contract.batch import decode
from contract.settings import Settings, load_settings
from headrace.bench.figures import Variant
from worker.collections import PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD
from worker.columnar import columns
from worker.columnar.layout import layout_of
from worker.columnar.milvus import ColumnarMilvus
from worker.columnar.wire import UpsertRequest, schema_of, send
from worker.embedding.build import make_embedder
from worker.embedding.embedder import Embedder
from worker.milvus import connection_arguments, quiet_libraries
from worker.store import rows_of

Step = Callable[[], Awaitable[Any]]
"""What is measured, of one batch."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to do; servers and model come from the settings in the environment."""

    variant: Variant
    """Any but the import."""

    batches: str
    """A file: msgpack list of encoded batches."""
    physical: str
    """Name of the collection itself, no alias."""
    in_flight: int
    """Batches at the same time."""


class BareFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured; times on the clock ``time.monotonic`` of this machine."""

    begun: float
    """When the first batch began."""
    marks: list[tuple[float, int]]
    """When a batch was through, and the chunks that were by then, in order."""
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
    """The worker's embedder as LangChain asks for it."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def aembed_documents(self, texts: list[str]) -> Any:
        """Give an array of shape (texts, dimension), which the columnar store takes as it is."""
        return (await self._embedder.embed(texts)).vectors

    def embed_documents(self, texts: list[str]) -> list[list[float]]:  # noqa: ARG002
        """Refuse: everything here is asynchronous."""
        raise AssertionError("this store is only written to, asynchronously")

    def embed_query(self, text: str) -> list[float]:  # noqa: ARG002
        """Refuse: nothing is searched here."""
        raise AssertionError("this store is only written to")


@dataclass(frozen=True, slots=True)
class Bare:
    """What every batch is taken through."""

    store: ColumnarMilvus
    embedder: Embedder
    timeout_seconds: float

    async def step(self, variant: Variant, rows: Rows) -> Step:
        """Prepare what is measured for one batch."""
        texts = [document.page_content for document in rows.documents]
        if variant is Variant.EMBED:
            return functools.partial(self.embedder.embed, texts)
        if variant is Variant.BARE:
            return functools.partial(
                self.store.aupsert, rows.ids, rows.documents, len(rows.ids), self.timeout_seconds
            )
        vectors = (await self.embedder.embed(texts)).vectors
        request = await self._request(
            columns.Rows(
                rows.ids, texts, [document.metadata for document in rows.documents], vectors
            )
        )
        return functools.partial(send, self.store.aclient, request, timeout=self.timeout_seconds)

    async def _request(self, rows: columns.Rows) -> UpsertRequest:
        """Make the message that writes a batch."""
        name = self.store.collection_name
        layout = layout_of(await schema_of(self.store.aclient, name))
        if layout is None:
            raise AssertionError("our own collections are written by columns")
        request = UpsertRequest(
            collection_name=name, num_rows=len(rows), schema_timestamp=layout.timestamp
        )
        names = columns.FieldNames(PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD)
        columns.add_columns(request, rows, layout, names)
        return request


async def take_all(steps: Sequence[tuple[int, Step]], in_flight: int) -> BareFigures:
    """Take all batches, each with its number of chunks, so many at a time, and measure it."""
    turns = asyncio.Semaphore(in_flight)
    marks: list[tuple[float, int]] = []
    done = 0

    async def take(chunks: int, step: Step) -> None:
        nonlocal done
        async with turns:
            await step()
        done += chunks
        marks.append((time.monotonic(), done))

    start_cpu_seconds, begun = time.process_time(), time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for chunks, step in steps:
            tasks.create_task(take(chunks, step))
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
        store = await asyncio.to_thread(_store, settings, order.physical, EmbeddingsOf(embedder))
        try:
            bare = Bare(store, embedder, settings.store_timeout_seconds)
            steps = [(len(rows.ids), await bare.step(order.variant, rows)) for rows in batches]
            return await take_all(steps, order.in_flight)
        finally:
            await store.aclient.close()
    finally:
        await embedder.aclose()


def _store(settings: Settings, physical: str, embeddings: Embeddings) -> ColumnarMilvus:
    return ColumnarMilvus(
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
