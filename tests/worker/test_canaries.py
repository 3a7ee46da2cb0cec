"""Canaries on real servers."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from contract.errors import EmbeddingDeniedError, TransientError
from contract.settings import Settings, load_settings
from tests.servers.endpoint import FakeEndpoint
from worker.breaker import Dependency
from worker.canaries import embedding_probe, make_breakers
from worker.embedding.build import make_embedder
from worker.stores import Stores


@pytest.fixture
def endpoint_settings(settings: Settings, endpoint: FakeEndpoint) -> Settings:
    """Give settings that name the embedding endpoint."""
    return settings.model_copy(
        update={
            "embedding_provider": "openai",
            "embedding_base_url": endpoint.url,
            "embedding_dimensions": 384,
            "embedding_timeout_seconds": 1.0,
        }
    )


async def test_an_endpoint_is_asked_for_one_word(
    endpoint_settings: Settings, endpoint: FakeEndpoint
) -> None:
    """The canary comes back from an endpoint that works, and from no other."""
    embedder = make_embedder(endpoint_settings)
    probe = embedding_probe(embedder)
    await probe()
    assert endpoint.stats()["texts"] == 1
    for faults, error in (
        ({"status": 503}, TransientError),
        ({"status": 401}, EmbeddingDeniedError),
        ({"hang_requests": 1}, TransientError),
        ({"drop_requests": 1}, TransientError),
    ):
        endpoint.faults(**faults)
        with pytest.raises(error):
            await probe()
    await probe()
    await embedder.aclose()


async def test_a_breaker_of_an_endpoint(
    endpoint_settings: Settings, endpoint: FakeEndpoint, redis: Redis
) -> None:
    """It opens while the endpoint fails and closes by itself; the key is in no message."""
    embedder = make_embedder(endpoint_settings)
    changes: list[tuple[Dependency, bool, str]] = []
    breakers = make_breakers(
        endpoint_settings,
        embedder,
        Stores(endpoint_settings, redis, embedder),
        lambda *change: changes.append(change),
    )
    breaker = breakers[Dependency.EMBEDDING]
    assert await breaker.is_healthy()
    endpoint.faults(status=503, status_requests=10**6)
    assert not await breaker.is_healthy()
    assert endpoint.url in breaker.trouble
    endpoint.faults(status=None, status_requests=0)
    await asyncio.wait_for(breaker.closed(), 5)
    assert [is_open for _, is_open, _ in changes] == [True, False]
    for one in breakers.values():
        await one.aclose()
    await embedder.aclose()


async def test_the_local_model_has_no_breaker(redis: Redis, tmp_path: Path) -> None:
    """It is no server; Milvus is one, whichever embeds."""
    settings = load_settings({}, tmp_path)
    embedder = make_embedder(settings)
    breakers = make_breakers(settings, embedder, Stores(settings, redis, embedder))
    assert set(breakers) == {Dependency.MILVUS}
    await embedder.aclose()
