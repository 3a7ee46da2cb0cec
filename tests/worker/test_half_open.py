"""Connections to Milvus on which nothing is answered any more, and nobody is told."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from pymilvus import MilvusClient
from redis.asyncio import Redis

from benchmarks.rig.proxy import HOST, Proxy
from contract.errors import TransientError
from contract.settings import Settings
from tests.worker.mill import Mill
from tests.worker.rows import MODEL, part, vectors
from worker.breaker import Breaker, Dependency
from worker.collections import ensure_collection
from worker.eraser import Erasers
from worker.store import MilvusStore, rows_of
from worker.stores import Stores

TIMEOUT_SECONDS = 1.0


@dataclass
class Site:
    """A store behind a proxy that can swallow everything."""

    proxy: Proxy
    settings: Settings
    stores: Stores
    store: MilvusStore

    async def lose(self) -> None:
        """Let all connections of this moment be dead from now on, and new ones live."""
        self.proxy.swallow()
        self.proxy.heal()


@pytest.fixture
async def site(
    redis: Redis, lite_settings: Settings, lite_client: MilvusClient, collection: str
) -> AsyncIterator[Site]:
    """Put a proxy before Milvus Lite, and open a store by it."""
    port = urlsplit(lite_settings.milvus_uri or "").port
    assert port is not None
    proxy = Proxy(port)
    await proxy.open()
    settings = lite_settings.model_copy(
        update={
            "milvus_uri": f"http://{HOST}:{proxy.port}",
            "store_timeout_seconds": TIMEOUT_SECONDS,
        }
    )
    await ensure_collection(lite_client, redis, lite_settings, collection, MODEL)
    stores = Stores(settings, redis, Mill())
    site = Site(proxy, settings, stores, await stores.get(collection))
    yield site
    await stores.close()
    await proxy.aclose()


CALLS: dict[str, Callable[[MilvusStore], Awaitable[object]]] = {
    "upsert": lambda store: store.upsert(rows_of(part("grain")), vectors(1)),
    "read": lambda store: store.read(["absent"], vectors=True),
    "delete": lambda store: store.delete(["absent"]),
    "delete older": lambda store: store.delete_older("absent", 1),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_after_one_that_was_lost_comes_back(site: Site, name: str) -> None:
    """One call of each kind pays for the connection, with a time-out; the next has another."""
    call = CALLS[name]
    await call(site.store)
    await site.lose()
    with pytest.raises(TransientError):
        await call(site.store)
    begun = time.monotonic()
    await call(site.store)
    assert time.monotonic() - begun < TIMEOUT_SECONDS


async def test_rows_are_erased_after_a_connection_was_lost(site: Site, collection: str) -> None:
    """The janitor's connection is one of its own."""
    erasers = Erasers(site.settings)
    eraser = await erasers.get(collection)
    await eraser.delete(["absent"])
    await site.lose()
    with pytest.raises(TransientError):
        await eraser.delete(["absent"])
    await eraser.delete(["absent"])
    await erasers.close()


async def test_a_canary_finds_out_and_comes_back(site: Site) -> None:
    """A breaker opens for a moment, so that calls which hang are given up and made again."""
    changes: list[bool] = []
    breaker = Breaker(
        Dependency.MILVUS,
        site.stores.check,
        on_change=lambda _, is_open, __: changes.append(is_open),
    )
    assert await breaker.is_healthy()
    await site.lose()
    assert not await breaker.is_healthy()
    await asyncio.wait_for(breaker.closed(), 5)
    assert changes == [True, False]
    assert await breaker.is_healthy()
    await breaker.aclose()
