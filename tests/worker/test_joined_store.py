"""Writes that batches share, to both Milvus servers."""

import asyncio
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from contract.errors import LeaseLostError, StoreRejectedError
from tests.worker.rows import Stored, part, vectors
from worker.coalescing import Departure
from worker.concurrency import Gate, Limit
from worker.joined_store import JoinedStore, JoinedStores
from worker.store import MilvusStore, Row, rows_of
from worker.stores import Stores


class Joined:
    """A joined store, and what left for Milvus."""

    def __init__(self, store: MilvusStore) -> None:
        self.departures: list[Departure] = []
        self.store = JoinedStore(store, 512, 0.5, Gate(Limit(8.0)), self.departures.append)

    async def write(self, rows: Sequence[Row], matrix: NDArray[np.float32]) -> None:
        """Write as a batch does."""
        await self.store.upsert(rows, matrix)


@pytest.fixture
def joined(store: MilvusStore) -> Joined:
    """Put it in front of the store of a new collection."""
    return Joined(store)


def _rows(name: str, *texts: str) -> list[Row]:
    return rows_of(msgspec.structs.replace(part(*texts), document_id=name * 32))


async def test_batches_that_write_at_once_share_an_upsert(joined: Joined, stored: Stored) -> None:
    """All rows are there, each with its own vector."""
    matrices = {name: np.full((2, 4), at, np.float32) for at, name in enumerate("abcdef", 1)}
    await asyncio.gather(
        *(joined.write(_rows(name, "one", "two"), matrix) for name, matrix in matrices.items())
    )
    assert [(each.items, each.calls) for each in joined.departures] == [(12, 6)]
    found = {str(row["chunk_id"]): row["vector"][0] for row in stored()}
    assert sorted(found.values()) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    assert all(found[row].is_integer() for row in found)
    assert {row[0]: value for row, value in found.items()} == {
        name: float(matrix[0, 0]) for name, matrix in matrices.items()
    }


async def test_equal_rows_are_written_once(joined: Joined, stored: Stored) -> None:
    """Of a batch that two have in hand; in one upsert the real server would keep both."""
    rows = _rows("a", "one", "two")
    await asyncio.gather(*(joined.write(rows, vectors(2)) for _ in range(3)))
    assert [row["text"] for row in stored()] == ["one", "two"]
    assert len(joined.departures) == 1


async def test_one_bad_row_harms_no_other_batch(joined: Joined, stored: Stored) -> None:
    """The others of the same upsert are written."""
    bad = rows_of(part("x" * 65_536))
    written, refused = await asyncio.gather(
        joined.write(_rows("a", "good"), vectors(1)),
        joined.write(bad, vectors(1)),
        return_exceptions=True,
    )
    assert written is None
    assert isinstance(refused, StoreRejectedError)
    assert [row["text"] for row in stored()] == ["good"]


async def test_who_lost_the_lease_does_not_write(joined: Joined, stored: Stored) -> None:
    """The others do."""

    def lost() -> None:
        raise LeaseLostError("lost")

    outcomes = await asyncio.gather(
        joined.write(_rows("a", "good"), vectors(1)),
        joined.store.upsert(_rows("b", "late"), vectors(1), check=lost),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), LeaseLostError]
    assert [row["text"] for row in stored()] == ["good"]


async def test_a_collection_that_is_opened_anew_is_joined_anew(store: MilvusStore) -> None:
    """Who holds on to the store of a dropped collection would never write again."""

    class Opened(Stores):
        def __init__(self) -> None:
            self.current = store

        async def get(self, collection: str) -> MilvusStore:  # noqa: ARG002
            return self.current

    opened = Opened()
    stores = JoinedStores(opened, lambda store: JoinedStore(store, 512, 0.0, Gate(Limit(8.0))))
    first = await stores.get("books")
    assert await stores.get("books") is first
    opened.current = MilvusStore(store._connection, "another", store._settings)
    assert (await stores.get("books")).store is opened.current
    await opened.current.close()
