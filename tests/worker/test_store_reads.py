"""Reading from Milvus, and deleting what only Milvus knows of."""

import asyncio
import time

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from pymilvus import MilvusClient

from tests.worker.rows import Stored, part, vectors
from worker.store import MilvusStore, rows_of


async def test_rows_are_read_as_they_were_written(store: MilvusStore) -> None:
    """More ids than one call takes, among them absent ones; with or without vectors."""
    whole = part(*[f"text {at}" for at in range(1_205)], path="mill.md")
    headed = msgspec.structs.replace(whole.chunks[1], start=7, headings=("Mill", "Wheel"))
    whole = msgspec.structs.replace(whole, chunks=(whole.chunks[0], headed, *whole.chunks[2:]))
    rows = rows_of(whole)
    await store.upsert(rows, np.arange(4 * 1_205, dtype=np.float32).reshape(-1, 4))
    ids = [row.chunk_id for row in rows]
    found = await store.read([*ids, *(f"{'e' * 32}:1:{at}" for at in range(700))], vectors=True)
    assert list(map(len, (found, ids))) == [1_205, 1_205]
    for at, name in enumerate(ids):
        vector = found[name].vector
        assert found[name].text == f"text {at}"
        assert vector is not None
        assert vector.tolist() == [4 * at, 4 * at + 1, 4 * at + 2, 4 * at + 3]
    (one,) = (await store.read(ids[1:2], vectors=False)).values()
    assert one.vector is None
    assert one.metadata == {
        "chunk_key": "k1",
        "document_id": whole.document_id,
        "source": "books",
        "content_hash": whole.content_hash,
        "version": whole.version,
        "ordinal": 1,
        "headings": ["Mill", "Wheel"],
        "start": 7,
        "chunk_count": 1_205,
    }
    assert await store.read([], vectors=True) == {}
    assert await store.read(["absent"], vectors=True) == {}


def odd_vectors(number: int, dimension: int) -> NDArray[np.float32]:
    """Make vectors of any length, with the smallest, largest and least even numbers."""
    draw = np.random.default_rng(7)
    made = draw.standard_normal((number, dimension)).astype(np.float32)
    made[0, :] = [1e-45, 3e38, -0.0, 0.1]
    made[1, :] = [1 / 3, -1e-30, 65504.5, 16777217]
    return made


async def read_bits(store: MilvusStore, ids: list[str]) -> list[bytes]:
    """Read vectors, bit by bit."""
    found = await store.read(ids, vectors=True)
    return [found[name].vector.tobytes() for name in ids]  # type: ignore[union-attr]


async def test_vectors_come_back_to_the_bit(store: MilvusStore) -> None:
    """Neither normalised nor rounded, so that what is reused stays what the model gave."""
    rows = rows_of(part(*[f"text {at}" for at in range(50)]))
    written = odd_vectors(50, 4)
    await store.upsert(rows, written)
    ids = [row.chunk_id for row in rows]
    assert await read_bits(store, ids) == [vector.tobytes() for vector in written]


@pytest.mark.slow
async def test_vectors_come_back_to_the_bit_once_they_are_indexed(
    store: MilvusStore, client: MilvusClient, collection: str
) -> None:
    """Also from segments that are sealed, indexed and loaded anew."""
    rows = rows_of(part(*[f"text {at}" for at in range(3_000)]))
    written = odd_vectors(3_000, 4)
    for at in range(0, 3_000, 1_000):
        await store.upsert(rows[at : at + 1_000], written[at : at + 1_000])
    physical = f"{collection}_1"
    client.flush(physical)
    (name,) = client.list_indexes(physical)
    deadline = time.monotonic() + 60
    while client.describe_index(physical, name).get("indexed_rows", 3_000) < 3_000:
        assert time.monotonic() < deadline, "never indexed"
        await asyncio.sleep(0.2)
    client.release_collection(physical)
    client.load_collection(physical)
    ids = [row.chunk_id for row in rows]
    assert await read_bits(store, ids) == [vector.tobytes() for vector in written]


async def test_older_versions_are_deleted_whatever_they_are(
    store: MilvusStore, stored: Stored
) -> None:
    """Those of this document alone, and not the version itself nor a newer one."""
    for version in (3, 5, 8, 9):
        await store.upsert(
            rows_of(msgspec.structs.replace(part(f"v{version}"), version=version)), vectors(1)
        )
    other = msgspec.structs.replace(part("other"), version=1, document_id="e" * 32)
    await store.upsert(rows_of(other), vectors(1))
    await store.delete_older("d" * 32, 8)
    assert {row["text"] for row in stored()} == {"v8", "v9", "other"}
    await store.delete_older('odd " or 1 == 1 or document_id == "', 10**18)
    assert {row["text"] for row in stored()} == {"v8", "v9", "other"}
