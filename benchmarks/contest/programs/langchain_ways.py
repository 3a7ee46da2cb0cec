"""LangChain's ways: its indexing API, and ``add_documents`` one document at a time."""

import asyncio
from collections.abc import Awaitable, Callable

from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, aindex
from langchain_milvus import Milvus
from langchain_openai import OpenAIEmbeddings
from pydantic import SecretStr

from benchmarks.contest.job import Chunk, Job, main

LIBRARIES = ("langchain-core", "langchain-milvus", "langchain-openai", "openai", "pymilvus")


def _store(job: Job) -> Milvus:
    embeddings = OpenAIEmbeddings(
        model=job.model,
        base_url=job.endpoint_url,
        api_key=SecretStr("none"),
        # Else it sends token ids, which only OpenAI itself understands.
        check_embedding_ctx_length=False,
    )
    return Milvus(
        embedding_function=embeddings,
        collection_name=job.collection,
        connection_args={"uri": job.milvus_uri},
        index_params={"index_type": "AUTOINDEX", "metric_type": "COSINE", "params": {}},
        auto_id=False,
        enable_dynamic_field=True,
    )


def _documents(chunks: list[Chunk]) -> list[Document]:
    return [
        Document(id=one.id, page_content=one.text, metadata=dict(one.metadata)) for one in chunks
    ]


async def _aindex(job: Job, chunks: list[Chunk]) -> Callable[[], Awaitable[object]]:
    """Use the indexing API, with the cheapest record manager and no clean-up."""
    store, documents = _store(job), _documents(chunks)
    records = InMemoryRecordManager(namespace=job.collection)
    await records.acreate_schema()

    async def call() -> None:
        await aindex(
            documents,
            records,
            store,
            batch_size=job.options["batch_size"],
            cleanup=None,
            key_encoder="sha256",
        )

    return call


async def _gather(job: Job, chunks: list[Chunk]) -> Callable[[], Awaitable[object]]:
    """Write each chunk by a call of its own, so many at the same time (0: all)."""
    store, documents = _store(job), _documents(chunks)
    at_once = job.options["at_once"]
    turns = asyncio.Semaphore(at_once or len(documents))

    async def add(document: Document) -> None:
        async with turns:
            await store.aadd_documents([document], ids=[str(document.id)])

    async def call() -> None:
        # The first one alone: it makes the collection, and all would at once.
        await add(documents[0])
        await asyncio.gather(*map(add, documents[1:]))

    return call


async def _loop(job: Job, chunks: list[Chunk]) -> Callable[[], Awaitable[object]]:
    """Write one after the other, synchronously."""
    store, documents = _store(job), _documents(chunks)

    async def call() -> None:
        for document in documents:
            store.add_documents([document], ids=[str(document.id)])

    return call


if __name__ == "__main__":
    main({"aindex": _aindex, "gather": _gather, "loop": _loop}, LIBRARIES)
