"""The tutorial's two ways: langchain-milvus as it is, one document to a call."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_milvus import Milvus
from pymilvus import MilvusClient

from contract.settings import Settings
from headrace.bench.seed.operation import HITS, Operation
from worker.collections import STRONG
from worker.milvus import connection_arguments

PRIMARY_FIELD = "pk"


class LoopWay:
    """A loop of synchronous calls."""

    def __init__(self, settings: Settings, embeddings: Embeddings, collection: str) -> None:
        """Connect; the collection is made by the first document. The caller closes it."""
        self._collection = collection
        self._store = Milvus(
            embedding_function=embeddings,
            collection_name=collection,
            connection_args=connection_arguments(settings),
            primary_field=PRIMARY_FIELD,
            # The tutorial's auto_id leaves no ids to upsert by.
            auto_id=False,
        )

    def fill(self, documents: Sequence[Document]) -> None:
        """Write documents in one call."""
        self._store.add_documents(list(documents), ids=[_id(document) for document in documents])

    def run(self, operation: Operation, documents: Sequence[Document]) -> list[list[str]]:
        """Do one after the other."""
        call = self._calls()[operation]
        return [_texts(call(document)) for document in documents]

    def _calls(self) -> dict[Operation, Callable[[Document], Any]]:
        store = self._store
        return {
            Operation.ADD: lambda one: store.add_documents([one], ids=[_id(one)]),
            Operation.UPSERT: lambda one: store.upsert(ids=[_id(one)], documents=[one]),
            Operation.SEARCH: lambda one: store.similarity_search(one.page_content, k=HITS),
            Operation.DELETE: lambda one: store.delete(expr=_expression(one)),
        }

    def count(self) -> int:
        """Count all rows."""
        return count_rows(self._store.client, self._collection)

    def close(self) -> None:
        """Close the connection; langchain-milvus has no close."""
        self._store.client.close()


class GatherWay(LoopWay):
    """All calls at once, by ``asyncio.gather``.

    Its asynchronous calls must all come from one event loop: that of ``runner``.
    """

    def __init__(
        self,
        settings: Settings,
        embeddings: Embeddings,
        collection: str,
        runner: asyncio.Runner,
    ) -> None:
        """Connect; the caller closes this, and then the runner."""
        super().__init__(settings, embeddings, collection)
        self._runner = runner

    def run(self, operation: Operation, documents: Sequence[Document]) -> list[list[str]]:
        """Do all at once."""
        call = self._asynchronous_calls()[operation]

        async def gather() -> list[Any]:
            return list(await asyncio.gather(*(call(document) for document in documents)))

        return [_texts(found) for found in self._runner.run(gather())]

    def _asynchronous_calls(self) -> dict[Operation, Callable[[Document], Awaitable[Any]]]:
        store = self._store
        return {
            Operation.ADD: lambda one: store.aadd_documents([one], ids=[_id(one)]),
            Operation.UPSERT: lambda one: store.aupsert(ids=[_id(one)], documents=[one]),
            Operation.SEARCH: lambda one: store.asimilarity_search(one.page_content, k=HITS),
            Operation.DELETE: lambda one: store.adelete(expr=_expression(one)),
        }

    def close(self) -> None:
        """Close both connections."""
        self._runner.run(self._store.aclient.close())
        super().close()


def count_rows(client: MilvusClient, collection: str) -> int:
    """Count the rows of a collection; waits until all that was written can be seen."""
    (row,) = client.query(collection, output_fields=["count(*)"], consistency_level=STRONG)
    return int(row["count(*)"])


def _id(document: Document) -> str:
    return str(document.id)


def _expression(document: Document) -> str:
    return f"id == '{document.metadata['id']}'"


def _texts(found: Any) -> list[str]:
    """Give the texts of a search's answer; other answers have none."""
    items = found if isinstance(found, list) else []
    return [item.page_content for item in items if isinstance(item, Document)]
