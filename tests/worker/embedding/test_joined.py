"""Promises of the shared way to an endpoint: a real one over HTTP, and a real Redis."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from contract.errors import EmbeddingRefusedError, ThrottledError
from contract.settings import Settings
from tests.servers.endpoint import FakeEndpoint
from worker.embedding.budget import Budget, Rates
from worker.embedding.build import make_embedder
from worker.embedding.embedder import Embedder
from worker.embedding.rate_headers import advertised
from worker.embedding.tokens import Cl100k
from worker.request_metrics import Requests
from worker.sharing import account, budget_rates, shared_embedder

TEXTS = [f"text number {number} of the mill" for number in range(300)]


@pytest.fixture
def ours(settings: Settings, endpoint: FakeEndpoint) -> Settings:
    """Give settings of the endpoint."""
    values = {
        "embedding_provider": "openai",
        "embedding_base_url": endpoint.url,
        "embedding_dimensions": 384,
        "join_wait_seconds": 1.0,
    }
    return settings.model_copy(update=values)


class Way:
    """The way as a worker has it."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self.budget = Budget(redis, account(settings), budget_rates(settings))
        self.registry = CollectorRegistry()
        model = make_embedder(settings, lambda headers: self.budget.learn(advertised(headers)))
        self.embedder: Embedder = shared_embedder(
            settings, model, self.budget, Requests(self.registry)
        )

    def sample(self, name: str) -> float:
        """Read a metric of the endpoint's."""
        value = self.registry.get_sample_value(name, {"server": "embedding"})
        assert value is not None
        return value


@pytest.fixture
async def way(ours: Settings, redis: Redis) -> AsyncIterator[Way]:
    """Give the way, and close it."""
    way = Way(ours, redis)
    yield way
    await way.embedder.aclose()


async def test_concurrent_calls_share_requests_and_get_their_own_vectors(
    way: Way, endpoint: FakeEndpoint
) -> None:
    """Vectors are those of calls that are made alone, bit for bit, and tokens add up."""
    alone = [await way.embedder.embed([text]) for text in TEXTS[:40]]
    endpoint.reset()
    together = await asyncio.gather(*(way.embedder.embed([text]) for text in TEXTS[:40]))
    assert endpoint.stats()["requests"] == 1
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one.vectors, other.vectors)
    assert sum(each.tokens or 0 for each in together) == endpoint.stats()["tokens"]
    assert way.sample("headrace_request_batches_sum") == 80
    assert way.sample("headrace_request_items_count") == 41
    assert way.sample("headrace_requests_in_flight") == 0


async def test_requests_are_as_large_as_the_endpoint_takes(
    ours: Settings, redis: Redis, endpoint: FakeEndpoint
) -> None:
    """By inputs, by tokens, by bytes; the vectors are those of all texts, in order."""
    whole = await _embedded(ours, redis)
    tokens = sum(map(Cl100k().count, TEXTS))
    for name, value in {
        "embedding_max_inputs": 100,
        "embedding_max_request_tokens": tokens // 2 - 10,
        "embedding_max_request_bytes": sum(map(len, TEXTS)) // 2 - 50,
    }.items():
        endpoint.reset()
        cut = await _embedded(ours.model_copy(update={name: value}), redis)
        assert np.array_equal(cut, whole)
        assert endpoint.stats()["requests"] == 3, name


async def _embedded(settings: Settings, redis: Redis) -> NDArray[np.float32]:
    way = Way(settings, redis)
    try:
        return (await way.embedder.embed(TEXTS)).vectors
    finally:
        await way.embedder.aclose()


async def test_who_is_refused_harms_nobody(way: Way, endpoint: FakeEndpoint) -> None:
    """The others of the same request get their vectors."""
    endpoint.faults(refuse_marker="POISON")
    good, bad = await asyncio.gather(
        way.embedder.embed(["grain"]), way.embedder.embed(["POISON"]), return_exceptions=True
    )
    assert isinstance(bad, EmbeddingRefusedError)
    assert not isinstance(good, BaseException)
    assert endpoint.stats()["responses"] == {"400": 2, "200": 1}


async def test_a_chunk_that_is_too_long_is_refused_or_cut(
    ours: Settings, redis: Redis, endpoint: FakeEndpoint
) -> None:
    """And never sent as it is."""
    long = "grain " * 9_000
    way = Way(ours, redis)
    with pytest.raises(EmbeddingRefusedError, match="HEADRACE_OVERLONG_CHUNKS"):
        await way.embedder.embed([long])
    assert endpoint.stats()["requests"] == 0
    await way.embedder.aclose()
    way = Way(ours.model_copy(update={"overlong_chunks": "cut"}), redis)
    await way.embedder.embed([long])
    assert endpoint.stats()["tokens"] <= 8_191 * 6 // 4
    await way.embedder.aclose()


async def test_limits_are_learnt_from_headers(way: Way, endpoint: FakeEndpoint) -> None:
    """From the first answer on they are held."""
    endpoint.faults(requests_per_minute=600, tokens_per_minute=90_000, rate_headers=True)
    await way.embedder.embed(["grain"])
    assert way.budget.rates == Rates(600, 90_000)


async def test_a_refusal_pauses_all_workers(
    way: Way, ours: Settings, redis: Redis, endpoint: FakeEndpoint
) -> None:
    """Whoever was refused, too, waits as long as another one was asked to."""
    other = Way(ours, redis)
    endpoint.faults(status=429, status_requests=2, retry_after_seconds=0.4)
    for each in (way, other):
        with pytest.raises(ThrottledError):
            await each.embedder.embed(["grain"])
    begun = asyncio.get_running_loop().time()
    await asyncio.gather(*(each.embedder.embed(["grain"]) for each in (way, other)))
    assert asyncio.get_running_loop().time() - begun > 0.2
    assert endpoint.stats()["responses"] == {"429": 2, "200": 2}
    await other.embedder.aclose()


async def test_what_the_endpoint_counts_puts_the_budget_right(way: Way) -> None:
    """Bytes only tell how many tokens to expect: here twice as many as there are."""
    await way.embedder.embed(["ß" * 400])
    assert way.budget._unused_tokens == pytest.approx(100)
    await way.embedder.embed(["ß" * 400])
    assert 100 < way.budget._unused_tokens < 200
