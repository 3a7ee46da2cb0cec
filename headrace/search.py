"""Searching a collection, as a person or a program would."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pymilvus import MilvusClient

from contract.errors import (
    CollectionMismatchError,
    EmbeddingDeniedError,
    PermanentError,
    UsageError,
)
from contract.settings import Settings
from worker.collections import PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD, held_model
from worker.embedding.embedder import Embedder
from worker.milvus import connect, quiet_libraries, translated

SPARE = 2
"""Hits asked for per hit wanted: for a moment a text may be there in two versions."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One chunk that was found."""

    score: float
    source: str
    path: str
    headings: tuple[str, ...]
    text: str
    chunk_id: str
    document_id: str
    metadata: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Give the fields, for JSON."""
        return asdict(self)


async def search(
    settings: Settings,
    embedder: Embedder,
    collection: str,
    query: str,
    *,
    limit: int,
    expression: str = "",
) -> list[Hit]:
    """Find the chunks nearest to a text, each text once, best first.

    Args:
        settings: where Milvus is.
        embedder: the model that the collection was made with; the caller closes it.
        collection: what users call the collection.
        query: what to look for.
        limit: how many hits at the most.
        expression: a filter in Milvus' language, e.g. ``source == "docs"``.

    Raises:
        UsageError: there is no such collection, it holds another model's vectors, the filter
            is wrong, or the embedding endpoint refuses the key, the model or the text.
        TransientError: Milvus or the embedding endpoint does not answer.
    """
    quiet_libraries()
    client = await asyncio.to_thread(connect, settings)
    try:
        with translated(settings):
            held = await asyncio.to_thread(held_model, client, collection)
            if held is None:
                raise UsageError(
                    f"there is no collection {collection!r} yet; import something into it first"
                )
            model = await embedder.identify(held)
            if held != model:
                raise CollectionMismatchError(
                    f"collection {collection!r} holds vectors of {held}, but {model} is configured"
                )
            embedded = await embedder.embed([query])
            return await asyncio.to_thread(
                _search, client, settings, collection, embedded.vectors, limit, expression
            )
    except (EmbeddingDeniedError, PermanentError) as error:
        raise UsageError(str(error)) from error
    finally:
        await asyncio.to_thread(client.close)


def _search(
    client: MilvusClient,
    settings: Settings,
    collection: str,
    vectors: Any,
    limit: int,
    expression: str,
) -> list[Hit]:
    client.load_collection(collection)
    found = client.search(
        collection,
        data=vectors,
        anns_field=VECTOR_FIELD,
        filter=expression,
        limit=limit * SPARE,
        output_fields=["*"],
        consistency_level="Strong",
        timeout=settings.store_timeout_seconds,
    )
    hits: dict[str, Hit] = {}
    for item in found[0]:
        entity = dict(item["entity"])
        hits.setdefault(str(entity["chunk_key"]), _hit(float(item["distance"]), entity))
    return list(hits.values())[:limit]


def _hit(score: float, entity: dict[str, Any]) -> Hit:
    entity.pop(VECTOR_FIELD, None)
    known = ("source", "path", "headings", TEXT_FIELD, PRIMARY_FIELD, "document_id")
    return Hit(
        score=score,
        source=str(entity["source"]),
        path=str(entity.get("path", "")),
        headings=tuple(entity.get("headings", ())),
        text=str(entity[TEXT_FIELD]),
        chunk_id=str(entity[PRIMARY_FIELD]),
        document_id=str(entity["document_id"]),
        metadata={key: value for key, value in entity.items() if key not in known},
    )
