"""Promises of the cache in Redis, on real servers."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis import Redis

from contract.errors import TransientError, UsageError
from tests.servers.cache import MOST_BYTES, cache_server
from tests.servers.redis import RedisServer, redis_server, redis_tcp_server
from worker.embedding.redis_cache import PREFIX, RedisCache

SECRET = "se@cret"  # noqa: S105 - of a server that lives for this test


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Run one for this test."""
    with cache_server(tmp_path / "cache") as server:
        yield server


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisCache]:
    """Open it, and close it."""
    cache = RedisCache(SecretStr(url), 5.0)
    yield cache
    await cache.aclose()


async def test_what_is_written_is_read(server: RedisServer) -> None:
    """In the order of the keys, whichever they are; a value of another kind is none."""
    with Redis.from_url(server.url) as other:
        other.rpush(PREFIX + b"list", "x")
    async with opened(server.url) as cache:
        await cache.check()
        await cache.write({b"a": b"1", b"\xff\0": b"2"})
        assert await cache.read([b"\xff\0", b"list", b"none", b"a"]) == [b"2", None, None, b"1"]
        await cache.write({b"a": b"3"})
        assert await cache.read([b"a"]) == [b"3"]


async def test_it_keeps_within_its_bound(server: RedisServer) -> None:
    """Ten times as much as there is room for: no write fails, and what came last is there."""
    value = b"v" * 8_192
    async with opened(server.url) as cache:
        for begin in range(0, 10 * MOST_BYTES // len(value), 128):
            keys = [b"%d" % number for number in range(begin, begin + 128)]
            await cache.write(dict.fromkeys(keys, value))
        assert (await cache.read(keys))[-1] == value
        assert await cache.read([b"0"]) == [None]


async def test_an_unbounded_one_is_refused(tmp_path: Path) -> None:
    """It would take all memory; the message says what to set, and where."""
    with redis_server(tmp_path) as server:
        async with opened(server.url) as cache:
            with pytest.raises(UsageError, match="set maxmemory there") as caught:
                await cache.check()
            assert server.url.partition("?")[0] in str(caught.value)


async def test_one_that_does_not_evict_is_refused(tmp_path: Path) -> None:
    """It would be full for good."""
    with cache_server(tmp_path / "cache", "noeviction") as server:
        async with opened(server.url) as cache:
            with pytest.raises(UsageError, match="allkeys-lru"):
                await cache.check()


async def test_what_volatile_policies_evict_is_what_we_write(tmp_path: Path) -> None:
    """Values have an end, so that a policy that looks at these alone may evict them."""
    with cache_server(tmp_path / "cache", "volatile-lru") as server:
        async with opened(server.url) as cache:
            await cache.check()
            await cache.write({b"a": b"1"})
        with Redis.from_url(server.url) as other:
            assert other.ttl(PREFIX + b"a") > 0


async def test_one_that_does_not_tell_is_believed(server: RedisServer) -> None:
    """Where INFO is not allowed nobody can know."""
    with Redis.from_url(server.url) as other:
        other.config_set("maxmemory", 0)
        other.acl_setuser("default", enabled=True, commands=["-info"])
    async with opened(server.url) as cache:
        await cache.check()


async def test_a_wrong_password_is_wrong_configuration(tmp_path: Path) -> None:
    """It is told at once, and never shown."""
    with redis_tcp_server(tmp_path, password=SECRET) as server:
        async with opened(server.url.replace("se%40cret", "no-secret")) as cache:
            with pytest.raises(UsageError, match="refuses these credentials") as caught:
                await cache.check()
            assert "no-secret" not in str(caught.value)
            with pytest.raises(TransientError):
                await cache.read([b"a"])


async def test_one_that_goes_is_trouble_until_it_is_back(server: RedisServer) -> None:
    """The same client goes on after a restart, without a failure."""
    async with opened(server.url) as cache:
        await cache.write({b"a": b"1"})
        server.kill()
        for call in (cache.check(), cache.read([b"a"]), cache.write({b"a": b"1"})):
            with pytest.raises(TransientError, match="embedding cache at unix://"):
                await call
        server.start()
        await cache.write({b"a": b"2"})
        server.restart()
        assert await cache.read([b"a"]) == [None]
