"""What tests of the worker share: settings with both servers, and a collection's name."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator

import pytest
from pymilvus import MilvusClient, MilvusException

from contract.settings import Settings
from worker.milvus import connect, quiet_libraries

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
async def lite_client(lite_settings: Settings, collection: str) -> AsyncIterator[MilvusClient]:
    """Give a client of Milvus Lite, and drop the collections of this test at its end."""
    client = await asyncio.to_thread(connect, lite_settings)
    yield client
    drop(client, collection)
    client.close()


def drop(client: MilvusClient, collection: str) -> None:
    """Drop a collection with its alias; it may be half made or missing."""
    with contextlib.suppress(MilvusException):  # there may be none
        client.drop_alias(collection)
    for name in (f"{collection}_1", collection):
        if client.has_collection(name):
            client.drop_collection(name)
