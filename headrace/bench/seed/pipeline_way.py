"""Our way: the worker's writer and the searcher of the Python API."""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from langchain_core.documents import Document
from pymilvus import MilvusClient

from contract.batch import Chunk, Part
from contract.ids import chunk_id, chunk_keys, document_id
from contract.settings import Settings
from headrace.bench.seed.langchain_ways import count_rows
from headrace.bench.seed.operation import HITS, Operation
from headrace.search import Terms
from headrace.searcher import Searcher
from worker.collections import make_collection
from worker.embedding.embedder import Embedder
from worker.milvus import open_connection
from worker.store import MilvusStore, rows_of

SOURCE = "bench"
VERSION = 1

T = TypeVar("T")


class PipelineWay:
    """What is there together is embedded, written and deleted together, as in a worker."""

    def __init__(
        self,
        settings: Settings,
        embedder: Embedder,
        client: MilvusClient,
        terms: Terms,
        runner: asyncio.Runner,
    ) -> None:
        """Make the collection of ``terms``, and open it.

        Args:
            settings: address, time-outs, largest batch.
            embedder: the model; the caller closes it.
            client: the caller closes it.
            terms: of the searches.
            runner: its event loop serves everything; the caller closes it, after this.
        """
        self._settings = settings
        self._embedder = embedder
        self._client = client
        self._terms = terms
        self._runner = runner
        self._searcher = Searcher(settings, embedder)
        model = self._await(embedder.identify())
        physical = make_collection(client, settings, terms.collection, model)
        client.load_collection(physical, timeout=settings.store_timeout_seconds)
        self._connection = open_connection(settings)
        self._store = MilvusStore(self._connection, physical, settings)

    def fill(self, documents: Sequence[Document]) -> None:
        """Write documents, batch by batch."""
        self._await(self._write(documents))

    def run(self, operation: Operation, documents: Sequence[Document]) -> list[list[str]]:
        """Do it with all of them."""
        match operation:
            case Operation.ADD | Operation.UPSERT:
                self._await(self._write(documents))
            case Operation.SEARCH:
                return self._await(self._search(documents))
            case Operation.DELETE:
                self._await(self._store.delete([_chunk_id(document) for document in documents]))
        return [[] for _ in documents]

    def count(self) -> int:
        """Count all rows."""
        return count_rows(self._client, self._terms.collection)

    def close(self) -> None:
        """Close the connections."""
        self._await(self._searcher.aclose())
        self._await(self._store.close())
        self._await(self._connection.aclose())

    async def _write(self, documents: Sequence[Document]) -> None:
        await asyncio.gather(*(self._write_batch(batch) for batch in self._batches(documents)))

    async def _write_batch(self, documents: Sequence[Document]) -> None:
        embedded = await self._embedder.embed([document.page_content for document in documents])
        rows = [row for document in documents for row in rows_of(_part(document))]
        await self._store.upsert(rows, embedded.vectors)

    async def _search(self, documents: Sequence[Document]) -> list[list[str]]:
        """Search by tasks that know nothing of each other."""
        found = await asyncio.gather(
            *(self._searcher.search(document.page_content, self._terms) for document in documents)
        )
        return [[hit.text for hit in hits] for hits in found]

    def _batches(self, documents: Sequence[Document]) -> Iterator[Sequence[Document]]:
        largest = self._settings.batch_max_chunks
        for at in range(0, len(documents), largest):
            yield documents[at : at + largest]

    def _await(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)


def terms_of(collection: str, *, fresh: bool) -> Terms:
    """Give the terms of the measured searches."""
    return Terms(collection, limit=HITS, fresh=fresh)


def _part(document: Document) -> Part:
    """Make a document of one chunk, as a producer does."""
    name, text = _document_id(document), document.page_content
    (key,) = chunk_keys(name, [text])
    return Part(
        document_id=name,
        source=SOURCE,
        version=VERSION,
        content_hash=key,
        chunk_count=1,
        first=0,
        chunks=(Chunk(key=key, text=text),),
        metadata=document.metadata,
    )


def _document_id(document: Document) -> str:
    return document_id(SOURCE, str(document.id).encode())


def _chunk_id(document: Document) -> str:
    return chunk_id(_document_id(document), VERSION, 0)
