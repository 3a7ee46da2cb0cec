"""Collections: made once, explicitly, before anything is written to them.

The lazy creation inside langchain-milvus blocks the event loop for seconds, races between
workers, and drops metadata. Here a collection is made under a lock, with its schema,
index and an alias: readers use the alias (the name that users know), writers the physical
name behind it. Which embedding model it holds is written in its properties.
"""

import asyncio
import json
import uuid
from typing import Any

from pymilvus import DataType, MilvusClient, MilvusException
from redis.asyncio import Redis
from redis.asyncio.lock import Lock
from redis.exceptions import LockError

from contract.errors import CollectionMismatchError, TransientError
from contract.names import Keys
from contract.settings import Settings
from worker.embedding.embedder import ModelIdentity
from worker.milvus import translated
from worker.milvus_errors import ALIAS_NOT_FOUND, ALIAS_TAKEN, NOT_FOUND

STRONG = "Strong"
"""Consistency: what was acknowledged to anyone is seen."""
DYNAMIC_FIELD = "$meta"
"""Where Milvus keeps metadata: pymilvus chokes on a key of this name."""
PRIMARY_FIELD = "chunk_id"
TEXT_FIELD = "text"
VECTOR_FIELD = "vector"
VARCHAR_FIELDS = {
    "chunk_key": 64,
    "document_id": 64,
    "source": 1024,
    "content_hash": 64,
    TEXT_FIELD: 65_535,
}
"""Longest values in bytes (Milvus counts bytes, Milvus Lite characters)."""
INTEGER_FIELDS = ("version", "ordinal")
RESERVED_FIELDS = frozenset({PRIMARY_FIELD, VECTOR_FIELD, *VARCHAR_FIELDS, *INTEGER_FIELDS})

PRIMARY_BYTES = 128
MODEL_PROPERTY = "headrace.model"
IDENTITY_PROPERTY = "headrace.id"
"""Random: tells a collection from one that is made anew under the same name."""
LOCK_SECONDS = 60.0
"""Creating, indexing and loading took up to 3.6 s on a server."""
LOOK_SECONDS = 30.0
"""Time-out of one call that only looks."""


async def ensure_collection(
    client: MilvusClient,
    redis: Redis,
    settings: Settings,
    name: str,
    model: ModelIdentity,
    *,
    lock_seconds: float = LOCK_SECONDS,
) -> str:
    """Make a collection unless it is there, and make sure that it is ours and fits.

    Args:
        client: a synchronous client (the asynchronous one hides errors); used in threads.
        redis: holds the lock under which the collection is made.
        settings: index, metric and address.
        name: what users call the collection.
        model: the embedding model whose vectors it is to hold.
        lock_seconds: how long making it may take, and how long to wait for others.

    Returns:
        The physical name, to be written to.

    Raises:
        CollectionMismatchError: it exists with another schema, model or dimension.
        TransientError: Milvus does not answer.
    """
    timeout = settings.store_timeout_seconds
    with translated(settings):
        physical = await asyncio.to_thread(_physical_name, client, name, timeout)
        if physical is None:
            lock = redis.lock(
                Keys(name).lock("collection"), timeout=lock_seconds, blocking_timeout=lock_seconds
            )
            physical = await _create_alone(client, lock, settings, name, model)
        found = await asyncio.to_thread(client.describe_collection, physical, timeout=timeout)
        _compare(found, name, model)
        await asyncio.to_thread(client.load_collection, physical, timeout=timeout)
    return physical


def held_model(client: MilvusClient, name: str) -> ModelIdentity | None:
    """Tell which model's vectors a collection of ours holds; None when there is no collection.

    Raises:
        CollectionMismatchError: the collection is not one of headrace's.
    """
    physical = _physical_name(client, name, LOOK_SECONDS)
    if physical is None:
        return None
    return _model_of(client.describe_collection(physical, timeout=LOOK_SECONDS), name)


def identity(client: MilvusClient, physical: str) -> str:
    """Name a collection for as long as it lives; empty for one made before these names."""
    found = client.describe_collection(physical, timeout=LOOK_SECONDS)
    return str(found.get("properties", {}).get(IDENTITY_PROPERTY, ""))


def _physical_name(client: MilvusClient, name: str, timeout: float) -> str | None:
    """Follow the alias; None when neither alias nor collection has this name."""
    try:
        return str(client.describe_alias(name, timeout=timeout)["collection_name"])
    except MilvusException as error:
        if error.code not in {NOT_FOUND, ALIAS_NOT_FOUND}:
            raise
    if client.has_collection(name, timeout=timeout):
        raise CollectionMismatchError(
            f"a collection {name!r} exists that headrace did not make; it is left alone. "
            "Choose another name with --collection"
        )
    return None


async def _create_alone(
    client: MilvusClient, lock: Lock, settings: Settings, name: str, model: ModelIdentity
) -> str:
    try:
        async with lock:
            physical = await asyncio.to_thread(
                _physical_name, client, name, settings.store_timeout_seconds
            )
            if physical is None:
                physical = await asyncio.to_thread(make_collection, client, settings, name, model)
    except LockError as error:
        raise TransientError(
            f"collection {name!r} is being made by someone else, and for long: {error}"
        ) from error
    return physical


def make_collection(
    client: MilvusClient, settings: Settings, name: str, model: ModelIdentity
) -> str:
    """Make a collection with index and alias, for someone who is alone with its name.

    Does every step that is not done yet: an earlier creator may have died at any of them.
    Where others may make the same one, :func:`ensure_collection` is the way. Raises the errors
    of pymilvus.

    Returns:
        The physical name; it is not loaded.
    """
    physical = f"{name}_1"
    timeout = settings.store_timeout_seconds
    if not client.has_collection(physical, timeout=timeout):
        client.create_collection(
            physical,
            schema=_schema(model),
            properties={
                MODEL_PROPERTY: json.dumps(model.as_dict()),
                IDENTITY_PROPERTY: uuid.uuid4().hex,
            },
            timeout=timeout,
        )
    _compare(client.describe_collection(physical, timeout=timeout), physical, model)
    if not client.list_indexes(physical, timeout=timeout):
        index = MilvusClient.prepare_index_params()
        index.add_index(
            VECTOR_FIELD, index_type=settings.index_type, metric_type=settings.metric_type
        )
        client.create_index(physical, index, timeout=timeout)
    try:
        client.create_alias(physical, name, timeout=timeout)
    except MilvusException as error:
        # Up to 2.3 an alias whose collection was dropped can't be seen, and is taken still.
        if error.code != ALIAS_TAKEN:
            raise
        client.alter_alias(physical, name, timeout=timeout)
    return physical


def _schema(model: ModelIdentity) -> Any:
    schema = MilvusClient.create_schema(
        auto_id=False, enable_dynamic_field=True, description=json.dumps(model.as_dict())
    )
    schema.add_field(PRIMARY_FIELD, DataType.VARCHAR, is_primary=True, max_length=PRIMARY_BYTES)
    for field, length in VARCHAR_FIELDS.items():
        schema.add_field(field, DataType.VARCHAR, max_length=length)
    for field in INTEGER_FIELDS:
        schema.add_field(field, DataType.INT64)
    schema.add_field(VECTOR_FIELD, DataType.FLOAT_VECTOR, dim=model.dimension)
    return schema


def _model_of(found: dict[str, Any], name: str) -> ModelIdentity:
    # Milvus Lite keeps properties and drops descriptions.
    noted = found.get("properties", {}).get(MODEL_PROPERTY) or found.get("description") or ""
    try:
        return ModelIdentity(**json.loads(noted))
    except (TypeError, ValueError) as error:
        raise CollectionMismatchError(
            f"collection {name!r} was not made by headrace (it names no embedding model); "
            "it is left alone. Choose another name with --collection"
        ) from error


def _compare(found: dict[str, Any], name: str, model: ModelIdentity) -> None:
    held = _model_of(found, name)
    if held != model:
        raise CollectionMismatchError(
            f"collection {name!r} holds vectors of {held}, but {model} is configured. "
            "Configure that model, or choose another collection with --collection"
        )
    fields = {field["name"]: field for field in found["fields"]}
    missing = RESERVED_FIELDS - set(fields)
    if missing or not found.get("enable_dynamic_field"):
        raise CollectionMismatchError(
            f"collection {name!r} has another schema: it lacks {sorted(missing) or 'dynamic field'}"
        )
