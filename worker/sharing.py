"""From settings to what all batches of a process share: the ways to the endpoint and to Milvus."""

from contract.settings import Settings
from worker.breaker import Dependency
from worker.coalescing import Joining
from worker.concurrency import Gate, Limit
from worker.embedding.bounds import Bounds
from worker.embedding.budget import Budget, Rates
from worker.embedding.build import LOCAL, OPENAI
from worker.embedding.embedder import Embedder
from worker.embedding.joined import JoinedEmbedder, Manners
from worker.embedding.overlong import Overlong
from worker.embedding.tokens import OPENAI_MAX_TOKENS, ByBytes, Cl100k, knows
from worker.joined_store import JoinedStore, JoinedStores
from worker.request_metrics import Requests
from worker.store import MilvusStore
from worker.stores import Stores

FIRST_LIMIT = 8.0
"""Requests at once, before anything is known of a server."""


def account(settings: Settings) -> str:
    """Name who shares a budget: those who ask the same endpoint for the same model by one key."""
    key = settings.embedding_api_key
    secret = key.get_secret_value() if key is not None else ""
    return "\n".join(
        (
            settings.embedding_provider,
            settings.embedding_base_url or "",
            settings.embedding_model,
            secret,
        )
    )


def budget_rates(settings: Settings) -> Rates:
    """Give the limits that the user set."""
    return Rates(
        settings.embedding_requests_per_minute or 0, settings.embedding_tokens_per_minute or 0
    )


def shared_embedder(
    settings: Settings, model: Embedder, budget: Budget, metrics: Requests
) -> Embedder:
    """Give the way to an endpoint; the local model is no endpoint, and has threads of its own.

    Whoever closes the model closes all of it.
    """
    if settings.embedding_provider == LOCAL:
        return model
    # The name of the model says nothing about a class of the user's own.
    known = settings.embedding_provider == OPENAI and knows(settings.embedding_model)
    bounds = Bounds(
        settings.embedding_max_inputs,
        settings.embedding_max_request_tokens,
        settings.embedding_max_request_bytes,
    )
    overlong = Overlong(
        settings.embedding_max_chunk_tokens or (OPENAI_MAX_TOKENS if known else None),
        settings.overlong_chunks,
        Cl100k() if known else ByBytes(),
    )
    # No text has more tokens than bytes.
    weight = min(settings.embedding_max_request_bytes, settings.embedding_max_request_tokens)
    joining = Joining(settings.embedding_join_chunks, weight, settings.join_wait_seconds)
    gate = _gate(settings.embedding_concurrency)
    metrics.watch(Dependency.EMBEDDING, gate)
    observe = metrics.observer(Dependency.EMBEDDING)
    return JoinedEmbedder(model, Manners(bounds, overlong, joining), gate, budget, observe)


def shared_stores(settings: Settings, stores: Stores, metrics: Requests) -> JoinedStores:
    """Give the way to Milvus; whoever closes the stores closes all of it."""
    gate = _gate(settings.store_concurrency)
    metrics.watch(Dependency.MILVUS, gate)
    observe = metrics.observer(Dependency.MILVUS)

    def make(store: MilvusStore) -> JoinedStore:
        wait_seconds = settings.join_wait_seconds
        return JoinedStore(store, settings.store_join_chunks, wait_seconds, gate, observe)

    return JoinedStores(stores, make)


def _gate(most: int) -> Gate:
    return Gate(Limit(min(FIRST_LIMIT, most), most=most))
