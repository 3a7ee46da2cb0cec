"""Haystack's way: a document embedder and a document writer, one after the other."""

from collections.abc import Awaitable, Callable

from haystack import Document, Pipeline
from haystack.components.embedders import OpenAIDocumentEmbedder
from haystack.components.writers import DocumentWriter
from haystack.utils import Secret
from milvus_haystack import MilvusDocumentStore

from benchmarks.contest.job import Chunk, Job, main

LIBRARIES = ("haystack-ai", "milvus-haystack", "openai", "pymilvus")


async def _pipeline(job: Job, chunks: list[Chunk]) -> Callable[[], Awaitable[object]]:
    """Run an indexing pipeline, synchronously: the document store has nothing else."""
    store = MilvusDocumentStore(
        collection_name=job.collection,
        connection_args={"uri": job.milvus_uri},
        index_params={"index_type": "AUTOINDEX", "metric_type": "COSINE", "params": {}},
    )
    pipeline = Pipeline()
    pipeline.add_component(
        "embedder",
        OpenAIDocumentEmbedder(
            api_key=Secret.from_token("none"),
            api_base_url=job.endpoint_url,
            model=job.model,
            batch_size=job.options["batch_size"],
            progress_bar=False,
            raise_on_failure=True,
        ),
    )
    pipeline.add_component("writer", DocumentWriter(document_store=store))
    pipeline.connect("embedder.documents", "writer.documents")
    documents = [
        Document(id=one.id, content=one.text, meta=dict(one.metadata)) for one in chunks
    ]  # fmt: skip

    async def call() -> None:
        pipeline.run({"embedder": {"documents": documents}})

    return call


if __name__ == "__main__":
    main({"pipeline": _pipeline}, LIBRARIES)
