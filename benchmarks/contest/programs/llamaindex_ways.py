"""LlamaIndex's ways: ``IngestionPipeline.arun`` in one process, ``run`` in several."""

from collections.abc import Awaitable, Callable

from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.vector_stores.milvus import MilvusVectorStore

from benchmarks.contest.job import Chunk, Job, main

LIBRARIES = (
    "llama-index-core",
    "llama-index-embeddings-openai-like",
    "llama-index-vector-stores-milvus",
    "openai",
    "pymilvus",
)


def _pipeline(job: Job) -> IngestionPipeline:
    embed_model = OpenAILikeEmbedding(
        model_name=job.model,
        api_base=job.endpoint_url,
        api_key="none",
        embed_batch_size=job.options["embed_batch_size"],
    )
    vector_store = MilvusVectorStore(
        uri=job.milvus_uri,
        collection_name=job.collection,
        dim=job.dimensions,
        similarity_metric="COSINE",
        index_config={"index_type": "AUTOINDEX"},
        batch_size=job.options["batch_size"],
    )
    return IngestionPipeline(
        transformations=[embed_model],
        vector_store=vector_store,
        # Its key is a hash of all texts together: of no use here, and it costs.
        disable_cache=True,
    )


def _nodes(chunks: list[Chunk]) -> list[TextNode]:
    """Wrap the chunks; what is embedded is their text alone."""
    return [
        TextNode(
            id_=one.id,
            text=one.text,
            metadata=dict(one.metadata),
            excluded_embed_metadata_keys=list(one.metadata),
            relationships={
                NodeRelationship.SOURCE: RelatedNodeInfo(node_id=one.metadata["document_id"])
            },
        )
        for one in chunks
    ]


async def _arun(job: Job, chunks: list[Chunk]) -> Callable[[], Awaitable[object]]:
    """Run it in this process's event loop; all embedding requests go out at once."""
    pipeline, nodes = _pipeline(job), _nodes(chunks)

    async def call() -> None:
        await pipeline.arun(nodes=nodes)

    return call


async def _run(job: Job, chunks: list[Chunk]) -> Callable[[], Awaitable[object]]:
    """Run it by processes, which embed; this one writes."""
    pipeline, nodes = _pipeline(job), _nodes(chunks)

    async def call() -> None:
        pipeline.run(nodes=nodes, num_workers=job.options["num_workers"])

    return call


if __name__ == "__main__":
    main({"arun": _arun, "run": _run}, LIBRARIES)
