"""Writing to Milvus."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import msgspec
import numpy as np
import pytest
from pymilvus import MilvusClient
from redis.asyncio import Redis

import worker.columnar.milvus
from contract.batch import Chunk
from contract.errors import (
    CollectionGoneError,
    StoreRejectedError,
    TransientError,
    UnreachableError,
)
from contract.settings import Settings
from tests.servers.milvus import milvus_lite
from tests.worker.rows import MODEL, Stored, part, vectors
from worker.collections import ensure_collection
from worker.columnar.wire import send
from worker.milvus import connect, open_connection
from worker.store import MilvusStore, rows_of

LONGEST_BYTES = 65_535
GRAIN = "\N{EAR OF RICE}"  # 4 bytes


async def test_writing_twice_is_writing_once(store: MilvusStore, stored: Stored) -> None:
    """A repeated write leaves each row once, with the newer values."""
    await store.upsert(rows_of(part("one", "two")), vectors(2))
    await store.upsert(rows_of(part("one", "changed")), vectors(2))
    assert [row["text"] for row in stored()] == ["one", "changed"]


async def test_a_row_has_all_that_rebuilds_the_ledger(store: MilvusStore, stored: Stored) -> None:
    """Ids, version, hashes, counts, headings and metadata come back as they were given."""
    chunk = Chunk(key="k", text="grain", start=7, headings=("Mill", "Wheel"))
    whole = msgspec.structs.replace(part("grain", path="mill.md"), chunks=(chunk,))
    await store.upsert(rows_of(whole), vectors(1))
    (row,) = stored()
    assert np.allclose(row.pop("vector"), vectors(1)[0])
    assert row == {
        "chunk_id": f"{whole.document_id}:{whole.version}:0",
        "chunk_key": "k",
        "document_id": whole.document_id,
        "source": "books",
        "version": whole.version,
        "ordinal": 0,
        "content_hash": whole.content_hash,
        "text": "grain",
        "chunk_count": 1,
        "headings": ["Mill", "Wheel"],
        "start": 7,
        "path": "mill.md",
    }


TEXTS = (
    "",
    "a\0b",
    "naïve Straße 水車 \N{FAMILY}\N{ZERO WIDTH JOINER}\N{COMBINING ACUTE ACCENT}\u202e",
    'it\'s "quoted" \\ and\nbroken',
    "x" * LONGEST_BYTES,
    GRAIN * (LONGEST_BYTES // 4),
)


async def test_text_comes_back_as_it_was(store: MilvusStore, stored: Stored) -> None:
    """Any text up to the limit in bytes is stored unchanged."""
    await store.upsert(rows_of(part(*TEXTS)), vectors(len(TEXTS)))
    assert tuple(row["text"] for row in stored()) == TEXTS


async def test_metadata_may_be_any_json(store: MilvusStore, stored: Stored) -> None:
    """Nested values, odd keys and long integers come back as they were."""
    metadata: dict[str, Any] = {
        "deep": {"list": [1, 2.5, None, {"word": "水車"}], "empty": {}},
        "a.b": 1,
        "with space": True,
        "": "empty",
        "big": 2**63 - 1,
        "small": -(2**63),
    }
    await store.upsert(rows_of(part("grain", **metadata)), vectors(1))
    (row,) = stored()
    assert {key: row[key] for key in metadata} == metadata


async def test_metadata_can_not_take_our_fields(store: MilvusStore, stored: Stored) -> None:
    """Our own fields win over metadata of the same name, also over Milvus' own."""
    names = ("chunk_id", "chunk_key", "document_id", "source", "version", "ordinal")
    theirs = dict.fromkeys((*names, "content_hash", "text", "vector", "$meta"), "theirs")
    await store.upsert(rows_of(part("grain", **theirs, chunk_count=99, start=99)), vectors(1))
    (row,) = stored()
    assert "theirs" not in [value for key, value in row.items() if key != "vector"]
    assert (row["text"], row["chunk_count"], row["start"]) == ("grain", 1, 0)


MISFITS: dict[str, dict[str, Any]] = {
    "text too long": {"chunks": (Chunk(key="k", text="x" * (LONGEST_BYTES + 1)),)},
    "no UTF-8": {"chunks": (Chunk(key="k", text="\ud800"),)},
    "source too long": {"source": "s" * 1025},
    "bytes in metadata": {"metadata": {"bytes": b"x"}},
    "bytes deep in metadata": {"metadata": {"deep": [{"bytes": b"x"}]}},
    "a key that is no string": {"metadata": {"keys": {1: 2}}},
    "metadata no UTF-8": {"metadata": {"surrogate": "\ud800"}},
}


async def test_a_row_that_does_not_fit_is_refused(store: MilvusStore, stored: Stored) -> None:
    """What would be refused again is a refusal, and nothing of that call is written."""
    good = rows_of(msgspec.structs.replace(part("good"), first=1))
    for changes in MISFITS.values():
        odd = rows_of(msgspec.structs.replace(part("grain"), **changes))
        with pytest.raises(StoreRejectedError):
            await store.upsert(odd + good, vectors(2))
    for dimension in (3, 5, 8):
        with pytest.raises(StoreRejectedError):
            await store.upsert(good, vectors(1, dimension))
    assert stored() == []


@pytest.mark.slow
@pytest.mark.parametrize("milvus_uri", ["server"], indirect=True)
async def test_the_server_counts_bytes(store: MilvusStore, stored: Stored) -> None:
    """4-byte characters above the limit, infinite vectors and too much metadata are refused."""
    with pytest.raises(StoreRejectedError, match="max length"):
        await store.upsert(rows_of(part(GRAIN * (LONGEST_BYTES // 4 + 1))), vectors(1))
    with pytest.raises(StoreRejectedError, match="infinity"):
        await store.upsert(rows_of(part("grain")), np.full((1, 4), np.inf, np.float32))
    with pytest.raises(StoreRejectedError, match="dynamic field"):
        await store.upsert(rows_of(part("grain", big="x" * 70_000)), vectors(1))
    assert stored() == []


async def test_rows_go_by_columns(store: MilvusStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows like those of any source take the fast way, in one request."""
    sent: list[int] = []

    async def listening(client: Any, request: Any, **options: Any) -> Any:
        sent.append(request.num_rows)
        return await send(client, request, **options)

    monkeypatch.setattr(worker.columnar.milvus, "send", listening)
    rows = rows_of(part("", "two", *["x" * 900] * 98, path="mill.md", deep={"list": [1, None]}))
    await store.upsert(rows, np.ones((100, 4), np.float32))
    assert sent == [100]


async def test_a_write_is_tried_once(store: MilvusStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that pymilvus would wait for is an error at once: one layer retries, not this."""
    async with store._writer.used() as writer:
        handler = await writer.aclient._get_connection()
    attempts: list[str] = []

    async def failing(*_: Any, **__: Any) -> None:
        attempts.append("Upsert")
        raise grpc.aio.AioRpcError(
            grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), grpc.aio.Metadata()
        )

    monkeypatch.setattr(handler._async_stub, "Upsert", failing)
    with pytest.raises(TransientError):
        await store.upsert(rows_of(part("grain")), vectors(1))
    assert attempts == ["Upsert"]


@pytest.mark.slow
@pytest.mark.parametrize("milvus_uri", ["server"], indirect=True)
async def test_more_than_a_message_takes_is_sent_in_several(
    store: MilvusStore, client: MilvusClient, collection: str
) -> None:
    """Rows of 71 MB, of which the server takes 64 at a time, are all written."""
    whole = part(*["x" * 65_000] * 1_100)
    await store.upsert(rows_of(whole), np.ones((1_100, 4), np.float32))
    (count,) = client.query(
        collection, output_fields=["count(*)"], consistency_level="Strong", filter="version > 0"
    )
    assert count["count(*)"] == 1_100


@pytest.mark.slow
@pytest.mark.parametrize("milvus_uri", ["server"], indirect=True)
async def test_a_row_larger_than_any_message_is_refused(store: MilvusStore) -> None:
    """It has no halves, and waiting does not help."""
    with pytest.raises(StoreRejectedError, match="larger than max"):
        await store.upsert(rows_of(part("grain", big="x" * 70_000_000)), vectors(1))


async def test_many_rows_are_deleted_and_others_stay(store: MilvusStore, stored: Stored) -> None:
    """More ids than one call takes, among them absent ones; the rest is untouched."""
    rows = rows_of(part(*[f"text {at}" for at in range(1_205)]))
    await store.upsert(rows, np.ones((1_205, 4), np.float32))
    absent = [f"{'e' * 32}:1:{at}" for at in range(1_500)]
    await store.delete([row.chunk_id for row in rows[5:]] + absent)
    assert [row["text"] for row in stored()] == [f"text {at}" for at in range(5)]


async def test_deleting_nothing_is_no_call(store: MilvusStore) -> None:
    """No ids, no error; ids that were never there, neither, and twice neither."""
    await store.delete([])
    for _ in range(2):
        await store.delete(["absent"])


async def test_a_dropped_collection_is_noticed(
    store: MilvusStore, client: MilvusClient, collection: str, milvus_settings: Settings
) -> None:
    """Every call says that the collection is gone, and the store remembers."""
    await store.upsert(rows_of(part("grain")), vectors(1))
    other = connect(milvus_settings)
    other.drop_collection(f"{collection}_1")
    other.close()
    for call in every(store):
        store.is_gone = False
        with pytest.raises(CollectionGoneError):
            await call()
        assert store.is_gone


async def test_one_store_takes_many_writes_at_once(store: MilvusStore, stored: Stored) -> None:
    """Concurrent writes through one store do not mix up their vectors."""

    async def write(at: int) -> None:
        row = rows_of(msgspec.structs.replace(part(f"text {at}"), first=at))
        await store.upsert(row, np.full((1, 4), at, np.float32))

    await asyncio.gather(*(write(at) for at in range(1, 40)))
    rows = stored()
    assert len(rows) == 39
    assert all(np.allclose(row["vector"], row["ordinal"]) for row in rows)


async def test_writing_does_not_hold_the_loop(store: MilvusStore) -> None:
    """While a batch is written, other coroutines go on."""
    rows = rows_of(part(*[f"text {at} " * 20 for at in range(128)]))
    writing = asyncio.create_task(store.upsert(rows, np.ones((128, 4), np.float32)))
    longest = 0.0
    while not writing.done():
        begun = time.monotonic()
        await asyncio.sleep(0.001)
        longest = max(longest, time.monotonic() - begun)
    await writing
    assert longest < 0.25


async def test_a_server_that_went_away_and_came_back(
    redis: Redis, settings: Settings, tmp_path: Path, collection: str
) -> None:
    """Its absence is told at once, and the same store goes on when it is back."""
    rows = rows_of(part("grain"))
    with milvus_lite(tmp_path / "milvus") as server:
        settings = settings.model_copy(update={"milvus_uri": server.uri})
        connection = open_connection(settings)
        async with connection.used() as client:
            physical = await ensure_collection(client, redis, settings, collection, MODEL)
        store = MilvusStore(connection, physical, settings)
        await store.upsert(rows, vectors(1))
        server.kill()
        for call in every(store):
            begun = time.monotonic()
            with pytest.raises(UnreachableError, match=server.uri):
                await call()
            assert time.monotonic() - begun < 2
        server.start()
        await until_it_works(lambda: store.upsert(rows, vectors(1)))
        await until_it_works(lambda: store.delete(["absent"]))
        await store.close()
        await connection.aclose()


def every(store: MilvusStore) -> tuple[Callable[[], Awaitable[object]], ...]:
    """Give all kinds of calls."""
    rows = rows_of(part("grain"))
    return (
        lambda: store.upsert(rows, vectors(1)),
        lambda: store.read(["absent"], vectors=True),
        lambda: store.delete(["absent"]),
        lambda: store.delete_older("absent", 1),
    )


async def until_it_works(call: Callable[[], Awaitable[object]]) -> None:
    """Call until it works."""
    deadline = time.monotonic() + 20
    while True:
        try:
            await call()
        except TransientError:
            assert time.monotonic() < deadline, "the store never came back"
            await asyncio.sleep(0.05)
        else:
            return


async def test_a_server_that_hangs_runs_into_the_time_out(
    redis: Redis, settings: Settings, tmp_path: Path, collection: str
) -> None:
    """Writes and deletes end after the time-out, without a word whether they took effect."""
    rows = rows_of(part("grain"))
    with milvus_lite(tmp_path / "milvus") as server:
        changes = {"milvus_uri": server.uri, "store_timeout_seconds": 5.0}
        settings = settings.model_copy(update=changes)
        connection = open_connection(settings)
        async with connection.used() as client:
            physical = await ensure_collection(client, redis, settings, collection, MODEL)
        hasty = settings.model_copy(
            update={"store_timeout_seconds": 0.3, "connect_timeout_seconds": 0.3}
        )
        hasty_connection = open_connection(hasty)
        store = MilvusStore(hasty_connection, physical, hasty)
        await until_it_works(lambda: store.upsert(rows, vectors(1)))
        server.freeze()
        for call in every(store):
            begun = time.monotonic()
            with pytest.raises(TransientError):
                await call()
            assert 0.25 < time.monotonic() - begun < 2
        server.thaw()
        await until_it_works(lambda: store.upsert(rows, vectors(1)))
        await store.close()
        await hasty_connection.aclose()
        await connection.aclose()
