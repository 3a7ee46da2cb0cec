"""Two collections alike on one server: one written by the plain class, one by columns."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_milvus import Milvus
from pymilvus import DataType, MilvusClient

from worker.columnar.milvus import ColumnarMilvus

DIMENSION = 4
PLAIN = {"flag": True, "tiny": 1, "number": 1, "year": 1, "weight": 1.5, "exact": 1.5, "source": ""}
_numbers = itertools.count()


class Embedding(Embeddings):
    """Gives vectors as lists, as all of LangChain's do, or as an array."""

    def __init__(self, *, as_array: bool = False) -> None:
        self.as_array = as_array

    def embed_documents(self, texts: list[str]) -> Any:
        """Make a vector of each text's length."""
        array = np.array([[len(text), 0, 1, 0.5] for text in texts], np.float32)
        return array if self.as_array else array.tolist()

    def embed_query(self, text: str) -> list[float]:
        """Make a vector of a text's length."""
        return [float(len(text)), 0, 1, 0.5]


@dataclass(frozen=True)
class Twins:
    """Stores of the same settings and the same schema."""

    client: MilvusClient
    plain: Milvus
    columnar: ColumnarMilvus

    async def do(self, call: Callable[[Any], Awaitable[Any]]) -> list[Any]:
        """Do the same to both; gives their results, or the errors' type and code."""
        return [await _outcome(call(store)) for store in (self.plain, self.columnar)]

    def rows(self) -> list[list[dict[str, Any]]]:
        """Read all rows of both, without keys that the server gave."""
        return [self._rows(store) for store in (self.plain, self.columnar)]

    def assert_alike(self, count: int | None = None) -> None:
        """Hold that both have the same rows, and how many."""
        plain, columnar = map(_told, self.rows())
        assert columnar == plain
        assert count is None or len(plain) == count

    def _rows(self, store: Milvus) -> list[dict[str, Any]]:
        key = store._primary_field
        found = self.client.query(
            store.collection_name,
            filter=f"{key} >= ''" if not store.auto_id else f"{key} >= 0",
            output_fields=["*"],
            limit=16_000,
            consistency_level="Strong",
        )
        if store.auto_id:
            for row in found:
                del row[key]
        return list(found)


def _told(rows: list[dict[str, Any]]) -> list[str]:
    """Write rows down, so that they can be compared: NaN is not itself."""
    return sorted(json.dumps(row, sort_keys=True, default=float) for row in rows)


async def _outcome(call: Awaitable[Any]) -> Any:
    try:
        done = await call
    except Exception as error:  # noqa: BLE001 - whatever it is, both must raise it
        return type(error), getattr(error, "code", None)
    return done


def make_twins(client: MilvusClient, uri: str, schema: Any, **arguments: Any) -> Twins:
    """Make two collections, and open them; blocks.

    Args:
        client: drops them later.
        uri: of the server.
        schema: None: the collections are not made.
        arguments: of the stores.
    """
    number = next(_numbers)
    stores: list[Any] = []
    for kind in (Milvus, ColumnarMilvus):
        name = f"twin{number}_{kind.__name__}"
        if schema is not None:
            index = MilvusClient.prepare_index_params()
            for field in schema.fields:
                if field.dtype == DataType.FLOAT_VECTOR:
                    index.add_index(field.name, index_type="FLAT", metric_type="L2")
            client.create_collection(name, schema=schema, index_params=index)
        stores.append(
            kind(
                collection_name=name,
                connection_args={"uri": uri, "dedicated": True},
                **{"vector_field": "vector", **arguments},
            )
        )
    return Twins(client, *stores)


async def close(pair: Twins) -> None:
    """Close both stores, and drop their collections."""
    for store in (pair.plain, pair.columnar):
        await store.aclient.close()
        await asyncio.to_thread(store.client.close)
        if await asyncio.to_thread(pair.client.has_collection, store.collection_name):
            await asyncio.to_thread(pair.client.drop_collection, store.collection_name)


def schema_of(*, dynamic: bool = True, **more: dict[str, Any]) -> Any:
    """Make a schema with a field of each type that is written by columns, and more."""
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=dynamic)
    schema.add_field("pk", DataType.VARCHAR, is_primary=True, max_length=64)
    schema.add_field("text", DataType.VARCHAR, max_length=1_000)
    schema.add_field("flag", DataType.BOOL)
    schema.add_field("tiny", DataType.INT8)
    schema.add_field("number", DataType.INT32)
    schema.add_field("year", DataType.INT64)
    schema.add_field("weight", DataType.FLOAT)
    schema.add_field("exact", DataType.DOUBLE)
    schema.add_field("source", DataType.VARCHAR, max_length=100)
    for name, options in more.items():
        schema.add_field(name, **options)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
    return schema
