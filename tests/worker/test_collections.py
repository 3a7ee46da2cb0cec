"""Collections are made once, whoever comes together, and others' are left alone."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from pymilvus import DataType, MilvusClient
from redis.asyncio import Redis

from contract.errors import CollectionMismatchError, TransientError, UsageError
from contract.names import Keys
from contract.settings import Settings
from tests.servers.milvus import milvus_lite
from worker import collections
from worker.collections import RESERVED_FIELDS, VECTOR_FIELD, ensure_collection, held_model
from worker.embedding.embedder import ModelIdentity
from worker.milvus import connect

MODEL = ModelIdentity("mill", "r1", 4)


def others(client: MilvusClient, name: str) -> dict[str, Any]:
    """Make a collection as another program would; gives what Milvus says of it."""
    schema = MilvusClient.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=4)
    client.create_collection(name, schema=schema)
    return describe(client, name)


def describe(client: MilvusClient, name: str) -> dict[str, Any]:
    """Give what Milvus says of a collection, as far as it is about its making."""
    found = client.describe_collection(name)
    return {key: found.get(key) for key in ("fields", "description", "properties", "aliases")}


async def test_a_collection_is_made_whole(
    client: MilvusClient, redis: Redis, milvus_settings: Settings, collection: str
) -> None:
    """After the first call schema, index, alias and the model's name are there, and loaded."""
    physical = await ensure_collection(client, redis, milvus_settings, collection, MODEL)
    assert physical == f"{collection}_1"
    assert client.describe_alias(collection)["collection_name"] == physical
    found = client.describe_collection(physical)
    assert {field["name"] for field in found["fields"]} == RESERVED_FIELDS
    assert found["enable_dynamic_field"]
    assert client.list_indexes(physical)
    assert held_model(client, collection) == MODEL
    nearest = client.search(collection, [[1.0, 0, 0, 0]], anns_field=VECTOR_FIELD, limit=1)
    assert list(nearest[0]) == []


async def test_the_model_is_in_the_properties(
    client: MilvusClient, redis: Redis, milvus_settings: Settings, collection: str
) -> None:
    """Both servers keep properties, so both tell which model a collection holds."""
    physical = await ensure_collection(client, redis, milvus_settings, collection, MODEL)
    properties = client.describe_collection(physical)["properties"]
    assert json.loads(properties["headrace.model"]) == MODEL.as_dict()


async def test_a_second_call_changes_nothing(
    client: MilvusClient, redis: Redis, milvus_settings: Settings, collection: str
) -> None:
    """Whoever comes later gets the same collection, as it was."""
    physical = await ensure_collection(client, redis, milvus_settings, collection, MODEL)
    before = describe(client, physical)
    assert await ensure_collection(client, redis, milvus_settings, collection, MODEL) == physical
    assert describe(client, physical) == before


async def test_many_come_at_once(redis: Redis, milvus_settings: Settings, collection: str) -> None:
    """Creators that race, each with a client of its own, all get the one collection."""
    clients = [await asyncio.to_thread(connect, milvus_settings) for _ in range(6)]
    made = await asyncio.gather(
        *(ensure_collection(c, redis, milvus_settings, collection, MODEL) for c in clients)
    )
    assert set(made) == {f"{collection}_1"}
    names = clients[0].list_collections()
    assert [name for name in names if name.startswith(collection)] == [f"{collection}_1"]
    for client in clients:
        client.close()


@pytest.mark.parametrize("steps", ["collection", "collection and index"])
async def test_a_creator_that_died_is_carried_on(
    client: MilvusClient, redis: Redis, milvus_settings: Settings, collection: str, steps: str
) -> None:
    """Killed before the index or before the alias: the next one does the rest."""
    physical = f"{collection}_1"
    properties = {"headrace.model": json.dumps(MODEL.as_dict())}
    client.create_collection(physical, schema=collections._schema(MODEL), properties=properties)
    if steps == "collection and index":
        index = MilvusClient.prepare_index_params()
        index.add_index(VECTOR_FIELD, index_type="AUTOINDEX", metric_type="COSINE")
        client.create_index(physical, index)
    assert await ensure_collection(client, redis, milvus_settings, collection, MODEL) == physical
    assert client.list_indexes(physical)
    assert held_model(client, collection) == MODEL


async def test_a_dropped_collection_is_made_again(
    client: MilvusClient, redis: Redis, milvus_settings: Settings, collection: str
) -> None:
    """Also on a server that keeps the alias of a dropped collection out of sight."""
    physical = await ensure_collection(client, redis, milvus_settings, collection, MODEL)
    client.drop_collection(physical)
    assert held_model(client, collection) is None
    assert await ensure_collection(client, redis, milvus_settings, collection, MODEL) == physical
    assert held_model(client, collection) == MODEL


@pytest.mark.parametrize("suffix", ["", "_1"])
async def test_a_collection_of_others_is_left_alone(
    client: MilvusClient, redis: Redis, milvus_settings: Settings, collection: str, suffix: str
) -> None:
    """A collection that headrace did not make is refused by its name, and not touched."""
    name = collection + suffix
    before = others(client, name)
    with pytest.raises(CollectionMismatchError, match=f"'{name}'.*--collection"):
        await ensure_collection(client, redis, milvus_settings, collection, MODEL)
    assert describe(client, name) == before


async def test_an_alias_of_others_is_left_alone(
    client: MilvusClient, redis: Redis, milvus_settings: Settings, collection: str
) -> None:
    """A name that leads to someone else's collection is refused as well."""
    others(client, f"{collection}_1")
    client.create_alias(f"{collection}_1", collection)
    before = describe(client, f"{collection}_1")
    with pytest.raises(CollectionMismatchError, match=collection):
        await ensure_collection(client, redis, milvus_settings, collection, MODEL)
    with pytest.raises(CollectionMismatchError):
        held_model(client, collection)
    assert describe(client, f"{collection}_1") == before


@pytest.mark.parametrize(
    "other",
    [
        ModelIdentity("sail", "r1", 4),
        ModelIdentity("mill", "r2", 4),
        ModelIdentity("mill", "r1", 5),
    ],
)
async def test_another_model_is_refused(
    client: MilvusClient,
    redis: Redis,
    milvus_settings: Settings,
    collection: str,
    other: ModelIdentity,
) -> None:
    """Another model, revision or dimension is refused, and the message names both."""
    await ensure_collection(client, redis, milvus_settings, collection, MODEL)
    with pytest.raises(CollectionMismatchError) as caught:
        await ensure_collection(client, redis, milvus_settings, collection, other)
    assert str(MODEL) in str(caught.value)
    assert str(other) in str(caught.value)


@pytest.mark.slow
async def test_an_index_that_milvus_lacks_is_a_wrong_setting(
    redis: Redis, settings: Settings, milvus_server_uri: str, collection: str
) -> None:
    """The message names it, and once the setting is mended the collection gets its index."""
    settings = settings.model_copy(update={"milvus_uri": milvus_server_uri})
    client = await asyncio.to_thread(connect, settings)
    wrong = settings.model_copy(update={"index_type": "NOPE"})
    with pytest.raises(UsageError, match="NOPE"):
        await ensure_collection(client, redis, wrong, collection, MODEL)
    physical = await ensure_collection(client, redis, settings, collection, MODEL)
    assert client.list_indexes(physical)
    client.close()


async def test_a_lock_that_is_held_for_long_is_waited_for_later(
    lite_client: MilvusClient,
    redis: Redis,
    lite_settings: Settings,
    collection: str,
) -> None:
    """Whoever can't have the lock tries again later: the batch is not to blame."""
    await redis.set(Keys(collection).lock("collection"), "someone else")
    with pytest.raises(TransientError, match=collection):
        await ensure_collection(
            lite_client, redis, lite_settings, collection, MODEL, lock_seconds=0.2
        )


async def test_a_restarted_lite_serves_the_collection_again(
    redis: Redis, settings: Settings, tmp_path: Path, collection: str
) -> None:
    """Milvus Lite forgets at a restart what was loaded; opening a collection loads it."""
    with milvus_lite(tmp_path / "milvus") as server:
        settings = settings.model_copy(update={"milvus_uri": server.uri})
        client = await asyncio.to_thread(connect, settings)
        physical = await ensure_collection(client, redis, settings, collection, MODEL)
        client.close()
        server.kill()
        server.start()
        client = await asyncio.to_thread(connect, settings)
        assert await ensure_collection(client, redis, settings, collection, MODEL) == physical
        client.search(physical, [[1.0, 0, 0, 0]], anns_field=VECTOR_FIELD, limit=1)
        client.close()


async def test_a_server_that_hangs_does_not_hold_the_loop(
    redis: Redis, settings: Settings, tmp_path: Path, collection: str
) -> None:
    """Every call has a time-out, and other coroutines go on while it runs."""
    with milvus_lite(tmp_path / "milvus") as server:
        changes = {"milvus_uri": server.uri, "store_timeout_seconds": 0.5}
        settings = settings.model_copy(update=changes)
        client = await asyncio.to_thread(connect, settings)
        server.freeze()
        begun = time.monotonic()
        making = asyncio.create_task(ensure_collection(client, redis, settings, collection, MODEL))
        longest = 0.0
        while not making.done():
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - before)
        with pytest.raises(TransientError):
            making.result()
        assert time.monotonic() - begun < 5
        assert longest < 0.3
        server.thaw()
        client.close()
