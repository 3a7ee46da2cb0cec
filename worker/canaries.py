"""Canaries: harmless calls that tell whether a server is there, and the breakers that use them."""

from collections.abc import Awaitable, Callable

from contract.settings import Settings
from worker.breaker import Breaker, Dependency
from worker.embedding.build import LOCAL
from worker.embedding.embedder import Embedder
from worker.stores import Stores

TEXT = "headrace"

Probe = Callable[[], Awaitable[None]]


def embedding_probe(embedder: Embedder) -> Probe:
    """Embed one word; raises what the embedder raises, within the embedder's time-out."""

    async def probe() -> None:
        await embedder.embed([TEXT])

    return probe


def milvus_probe(stores: Stores) -> Probe:
    """Ask Milvus for a sign of life, by the way that deletions take; see ``Stores.check``."""
    return stores.check


def make_breakers(
    settings: Settings,
    embedder: Embedder,
    stores: Stores,
    on_change: Callable[[Dependency, bool, str], None] = lambda *_: None,
) -> dict[Dependency, Breaker]:
    """Make a worker's breakers; the caller closes them, before embedder and stores.

    The local model has none: it is no server, and a canary would only queue behind batches.

    In the composition root, inside the event loop::

        breakers = make_breakers(settings, embedder, stores, on_change)
        for breaker in breakers.values():
            clients.push_async_callback(breaker.aclose)
        retrier = Retrier(RetryPolicy(), breakers)
    """
    probes = {Dependency.MILVUS: milvus_probe(stores)}
    if settings.embedding_provider != LOCAL:
        probes[Dependency.EMBEDDING] = embedding_probe(embedder)
    return {
        dependency: Breaker(dependency, probe, on_change=on_change)
        for dependency, probe in probes.items()
    }
