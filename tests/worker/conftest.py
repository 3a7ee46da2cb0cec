"""What tests of the worker share: settings with both servers, and a collection's name."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from pymilvus import MilvusClient, MilvusException
from redis.asyncio import Redis

from contract.settings import Settings
from tests.worker.mill import Mill
from tests.worker.rig import Rig
from tests.worker.rows import MODEL
from tests.worker.shop import Shop
from worker.collections import ensure_collection
from worker.milvus import connect, open_connection, quiet_libraries
from worker.store import MilvusStore
from worker.stores import Stores

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _quiet() -> None:
    quiet_libraries()


@pytest.fixture
def milvus_settings(settings: Settings, milvus_uri: str) -> Settings:
    """Give settings that name Redis and one of the two Milvus servers."""
    return settings.model_copy(update={"milvus_uri": milvus_uri})


@pytest.fixture
def lite_settings(settings: Settings, milvus_lite_uri: str) -> Settings:
    """Give settings that name Redis and Milvus Lite."""
    return settings.model_copy(update={"milvus_uri": milvus_lite_uri})


@pytest.fixture
def collection() -> str:
    """Give a name that no other test of this session uses."""
    return f"shelf{next(_numbers)}"


@pytest.fixture
def client(milvus_settings: Settings, collection: str) -> Iterator[MilvusClient]:
    """Give a client, and drop the collections of this test at its end."""
    client = connect(milvus_settings)
    yield client
    drop(client, collection)
    client.close()


@pytest.fixture
async def store(
    client: MilvusClient, redis: Redis, milvus_settings: Settings, collection: str
) -> AsyncIterator[MilvusStore]:
    """Open the store of a new collection."""
    physical = await ensure_collection(client, redis, milvus_settings, collection, MODEL)
    connection = open_connection(milvus_settings)
    store = MilvusStore(connection, physical, milvus_settings)
    yield store
    await store.close()
    await connection.aclose()


@pytest.fixture
def stored(
    store: MilvusStore, client: MilvusClient, collection: str
) -> Callable[[], list[dict[str, Any]]]:
    """Read all rows of the collection, in the order of their ids."""

    def read() -> list[dict[str, Any]]:
        rows = client.query(
            collection,
            filter="ordinal >= 0",
            output_fields=["*"],
            limit=10_000,
            consistency_level="Strong",
        )
        return sorted(rows, key=lambda row: str(row["chunk_id"]))

    return read


@pytest.fixture
async def lite_client(lite_settings: Settings, collection: str) -> AsyncIterator[MilvusClient]:
    """Give a client of Milvus Lite, and drop the collections of this test at its end."""
    client = await asyncio.to_thread(connect, lite_settings)
    yield client
    drop(client, collection)
    client.close()


@pytest.fixture
async def rig(
    redis: Redis, lite_settings: Settings, lite_client: MilvusClient, collection: str
) -> AsyncIterator[Rig]:
    """Put a worker together, on real servers."""
    mill = Mill()
    stores = Stores(lite_settings, redis, mill)
    yield Rig(Shop(redis, lite_client, collection), stores, mill)
    await stores.close()


def drop(client: MilvusClient, collection: str) -> None:
    """Drop a collection with its alias; it may be half made or missing."""
    with contextlib.suppress(MilvusException):  # there may be none
        client.drop_alias(collection)
    for name in (f"{collection}_1", collection):
        if client.has_collection(name):
            client.drop_collection(name)
