"""Promises of the cache in front of an embedder: with a real endpoint, Redis, and files."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from contract.errors import EmbeddingRefusedError
from contract.settings import Settings
from tests.servers.cache import cache_server
from tests.servers.endpoint import FakeEndpoint
from tests.servers.redis import RedisServer
from worker.embedding.build import make_embedder
from worker.embedding.cache_entry import CacheEntry, key_of, key_space, shares
from worker.embedding.cached import CachedEmbedder, make_cache, origin_of, with_cache
from worker.embedding.embedded import Embedded
from worker.embedding.embedder import ModelIdentity
from worker.embedding.forgiving_cache import ForgivingCache

LONG = "the wheel of the mill turns"  # 6 tokens, as the endpoint counts
SHORT = "the wheel"  # 2
OTHER = "a lock holds the water"


@pytest.fixture(scope="module")
def cache_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Run one for this module."""
    with cache_server(tmp_path_factory.mktemp("cache")) as server:
        yield server


@pytest.fixture(params=["redis", "file"])
def ours(
    request: pytest.FixtureRequest, settings: Settings, endpoint: FakeEndpoint, tmp_path: Path
) -> Settings:
    """Give settings with an endpoint and each cache in turn."""
    url = f"file://{tmp_path / 'cache.sqlite'}"
    if request.param == "redis":
        url = request.getfixturevalue("cache_redis").url
    changes = {
        "embedding_provider": "openai",
        "embedding_base_url": endpoint.url,
        "embedding_model": str(tmp_path),  # so that tests don't find what others left in Redis
        "embedding_cache_url": url,
    }
    return Settings.model_validate(settings.model_dump() | changes)


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[CachedEmbedder]:
    """Open what a worker has, and close it."""
    async with contextlib.AsyncExitStack() as clients:
        embedder = make_embedder(settings)
        clients.push_async_callback(embedder.aclose)
        cached = await with_cache(settings, embedder, clients)
        assert isinstance(cached, CachedEmbedder)
        yield cached


async def test_without_the_setting_there_is_no_cache(settings: Settings) -> None:
    """It is off, and costs nothing."""
    embedder = make_embedder(settings)
    async with contextlib.AsyncExitStack() as clients:
        assert await with_cache(settings, embedder, clients) is embedder
    await embedder.aclose()


async def test_a_text_is_paid_for_once(ours: Settings, endpoint: FakeEndpoint) -> None:
    """What one worker has embedded no other embeds again, and gets the same bits."""
    async with opened(ours) as one:
        await one.identify()
        endpoint.reset()
        first = await one.embed([LONG, OTHER, LONG])
        assert (first.hits, first.misses, first.tokens_saved) == (frozenset(), 2, 0)
        assert first.tokens == endpoint.stats()["tokens"]
    async with opened(ours) as another:
        await another.identify()
        endpoint.reset()
        again = await another.embed([OTHER, SHORT, LONG])
        assert endpoint.stats()["texts"] == 1
        assert again.tokens == endpoint.stats()["tokens"] == 2
        assert (again.hits, again.misses) == (frozenset((LONG, OTHER)), 1)
        assert again.tokens_saved == first.tokens
        assert np.array_equal(again.vectors[[2, 0]], first.vectors[:2])
        requests = endpoint.stats()["requests"]
        (third, alone) = (await another.embed([SHORT, SHORT]), await another.embed([]))
        assert endpoint.stats()["requests"] == requests
        assert (third.tokens, third.tokens_saved) == (0, 2)
        assert third.vectors.dtype == np.float32
        assert np.array_equal(third.vectors, again.vectors[[1, 1]])
        assert (len(alone.vectors), alone.misses) == (0, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"embedding_model": "another"},
        {"embedding_base_url": "{url}/"},
        {"overlong_chunks": "cut"},
        {"embedding_max_chunk_tokens": 500},
        {"embedding_base_url": "{other}"},
    ],
)
async def test_vectors_of_two_models_never_mix(
    ours: Settings, endpoint: FakeEndpoint, change: dict[str, object]
) -> None:
    """Another model, place or rule is another key; a slash at the end of the address is none."""
    other = endpoint.url.replace("127.0.0.1", "localhost")
    filled = {
        name: value.format(url=endpoint.url, other=other) if isinstance(value, str) else value
        for name, value in change.items()
    }
    async with opened(ours) as one:
        await one.embed([LONG])
    async with opened(Settings.model_validate(ours.model_dump() | filled)) as another:
        embedded = await another.embed([LONG])
    is_same = change == {"embedding_base_url": "{url}/"}
    assert embedded.hits == ({LONG} if is_same else set())


def test_whatever_tells_models_apart_is_in_the_key() -> None:
    """Who makes a vector, where, from which weights, and how long it is."""
    model = ModelIdentity("m", "r", 2)
    spaces = {
        key_space(("p", "u"), model),
        key_space(("q", "u"), model),
        key_space(("p", "v"), model),
        key_space(("p", "u"), ModelIdentity("n", "r", 2)),
        key_space(("p", "u"), ModelIdentity("m", "s", 2)),
        key_space(("p", "u"), ModelIdentity("m", "r", 3)),
    }
    assert len(spaces) == 6
    assert key_of(b"", "a") != key_of(b"", "b")


@pytest.mark.parametrize("garbage", ["short", "longer", "bit", "nan", "other", "empty"])
async def test_garbage_is_a_miss_and_is_written_over(
    ours: Settings, endpoint: FakeEndpoint, garbage: str
) -> None:
    """What can't be the vector is made anew, and is right from then on."""
    async with opened(ours) as embedder:
        good = await embedder.embed([LONG])
        model = await embedder.identify()
        cache = make_cache(ours)
        assert cache is not None
        key = key_of(key_space(origin_of(ours), model), LONG)
        (value,) = await cache.read([key])
        assert value is not None
        infinite = CacheEntry(np.full(model.dimension, np.nan, np.float32), 1).encode()
        bad = {
            "short": value[:-4],
            "longer": value + b"\0" * 4,
            "bit": value[:-1] + bytes([value[-1] ^ 1]),
            "nan": infinite,
            "other": CacheEntry(np.ones(8, np.float32), 1).encode(),
            "empty": b"",
        }[garbage]
        await cache.write({key: bad})
        await cache.aclose()
        again = await embedder.embed([LONG])
        assert (again.hits, again.misses) == (frozenset(), 1)
        assert np.array_equal(again.vectors, good.vectors)
        assert (await embedder.embed([LONG])).hits == {LONG}


async def test_half_a_surrogate_pair_is_refused_by_the_model_alone(ours: Settings) -> None:
    """A text that no JSON can carry has a key like any other."""
    async with opened(ours) as embedder:
        with pytest.raises(EmbeddingRefusedError):
            await embedder.embed(["\ud800"])


def test_tokens_are_shared_by_length() -> None:
    """Shares are whole, and add up to what the endpoint counted."""
    assert shares(10, ["aaaa", "b", "ccccc"]) == [4, 1, 5]
    assert sum(shares(7, ["a", "b", "c"])) == 7
    assert shares(0, ["", ""]) == [0, 0]


class Listener:
    """An embedder that remembers how it was asked, and counts no tokens."""

    def __init__(self) -> None:
        """Have heard nothing."""
        self.urgent: list[bool] = []

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Embedded:
        """Embed as ones."""
        self.urgent.append(urgent)
        return Embedded(np.ones((len(texts), 2), np.float32), None)

    async def identify(self, held: ModelIdentity | None = None) -> ModelIdentity:  # noqa: ARG002
        """Be a model of 2 dimensions."""
        return ModelIdentity("listener", "", 2)

    async def aclose(self) -> None:
        """Hold nothing."""


async def test_what_is_urgent_stays_so_and_what_is_not_counted_too(ours: Settings) -> None:
    """Behind the cache, haste is known; tokens that nobody counted are none saved."""
    listener, cache = Listener(), make_cache(ours)
    assert cache is not None
    embedder = CachedEmbedder(listener, ForgivingCache(cache), ("p", ours.embedding_model))
    first = await embedder.embed([LONG], urgent=True)
    second = await embedder.embed([LONG, OTHER])
    assert listener.urgent == [True, False]
    assert (first.tokens, second.tokens, second.tokens_saved) == (None, None, 0)
    assert second.hits == {LONG}
    await embedder.aclose()
