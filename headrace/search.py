"""Searching a collection, as a person or a program would."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymilvus import MilvusClient

from contract.errors import (
    CollectionMismatchError,
    EmbeddingDeniedError,
    PermanentError,
    UsageError,
)
from contract.settings import Settings
from worker.collections import (
    DYNAMIC_FIELD,
    INTEGER_FIELDS,
    PRIMARY_FIELD,
    STRONG,
    TEXT_FIELD,
    VARCHAR_FIELDS,
    VECTOR_FIELD,
    held_model,
)
from worker.embedding.embedder import Embedder
from worker.milvus import connect, quiet_libraries, translated

SPARE = 2
"""Hits asked for per hit wanted: for a moment a text may be there in two versions."""
HITS_IN_ONE_CALL = 2_000
"""Their texts have to fit gRPC's 64 MiB, at 16,000 characters and some metadata each."""
BOUNDED = "Bounded"
"""Consistency: rows may be seen some moments (5 s at the most) after they were acknowledged."""
# Not "*", which brings the vectors too: on a server that takes twice as long.
_FIELDS = [PRIMARY_FIELD, *VARCHAR_FIELDS, *INTEGER_FIELDS, DYNAMIC_FIELD]


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


@dataclass(frozen=True, slots=True)
class Terms:
    """What a search is about, apart from its text.

    Attributes:
        collection: what users call the collection.
        limit: how many hits at the most.
        expression: a filter in Milvus' language, e.g. ``source == "docs"``.
        fresh: whether to see all that was acknowledged before, also by other processes. For
            that a server waits, half a second at times; else the rows of the last moments may
            be missing.
    """

    collection: str
    limit: int = 5
    expression: str = ""
    fresh: bool = True


async def search(
    settings: Settings,
    embedder: Embedder,
    collection: str,
    query: str,
    *,
    limit: int,
    expression: str = "",
) -> list[Hit]:
    """Find the chunks nearest to one text, each text once, best first, on its own connection.

    Whoever searches more than once uses a :class:`headrace.searcher.Searcher`.

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
    terms = Terms(collection, limit, expression)
    client = await asyncio.to_thread(connect, settings)
    try:
        with as_wrong_use():
            await require_fit(client, settings, embedder, collection)
            embedded = await embedder.embed([query])
            (hits,) = await find(client, settings, embedded.vectors, terms)
            return hits
    finally:
        await asyncio.to_thread(client.close)


@contextmanager
def as_wrong_use() -> Iterator[None]:
    """Count what model or Milvus refuse as wrong use: here is no batch that could wait."""
    try:
        yield
    except (EmbeddingDeniedError, PermanentError) as error:
        raise UsageError(str(error)) from error


async def require_fit(
    client: MilvusClient, settings: Settings, embedder: Embedder, collection: str
) -> None:
    """Make sure that a collection holds this model's vectors, and is loaded.

    Raises:
        UsageError: there is no such collection, or it holds another model's vectors.
        TransientError: Milvus or the embedding endpoint does not answer.
    """
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
        await asyncio.to_thread(
            client.load_collection, collection, timeout=settings.store_timeout_seconds
        )


async def find(
    client: MilvusClient, settings: Settings, vectors: NDArray[np.float32], terms: Terms
) -> list[list[Hit]]:
    """Find the chunks nearest to each vector, in as few calls as fit.

    Args:
        client: a synchronous client; used in a thread.
        settings: time-out of each call.
        vectors: shape (searches, dimension).
        terms: the same for all of them.

    Returns:
        Hits for each vector, in their order; each text once, best first.

    Raises:
        StoreRejectedError: Milvus refuses the filter.
        TransientError: Milvus does not answer.
    """
    searches = max(1, HITS_IN_ONE_CALL // (terms.limit * SPARE))
    hits: list[list[Hit]] = []
    for at in range(0, len(vectors), searches):
        some = vectors[at : at + searches]
        with translated(settings):
            hits += await asyncio.to_thread(_find, client, settings, some, terms)
    return hits


def _find(
    client: MilvusClient, settings: Settings, vectors: NDArray[np.float32], terms: Terms
) -> list[list[Hit]]:
    found = client.search(
        terms.collection,
        data=vectors,
        anns_field=VECTOR_FIELD,
        filter=terms.expression,
        limit=terms.limit * SPARE,
        output_fields=_FIELDS,
        consistency_level=STRONG if terms.fresh else BOUNDED,
        timeout=settings.store_timeout_seconds,
    )
    return [_each_text_once(items, terms.limit) for items in found]


def _each_text_once(items: Any, limit: int) -> list[Hit]:
    hits: dict[str, Hit] = {}
    for item in items:
        entity = dict(item["entity"])
        hits.setdefault(str(entity["chunk_key"]), _hit(float(item["distance"]), entity))
    return list(hits.values())[:limit]


def _hit(score: float, entity: dict[str, Any]) -> Hit:
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
