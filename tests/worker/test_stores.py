"""The stores of a process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from pymilvus import MilvusClient, MilvusException
from redis.asyncio import Redis

from contract.batch import Chunk, Part
from contract.errors import (
    CollectionGoneError,
    CollectionMismatchError,
    TransientError,
    UnreachableError,
)
from contract.settings import Settings
from tests.servers.milvus import milvus_lite
from worker.embedding.embedded import Embedded
from worker.embedding.embedder import ModelIdentity
from worker.store import rows_of
from worker.stores import Stores

ROWS = rows_of(
    Part(
        document_id="d",
        source="books",
        version=1,
        content_hash="c",
        chunk_count=1,
        first=0,
        chunks=(Chunk(key="k", text="grain"),),
    )
)
VECTORS = np.ones((1, 4), np.float32)


class Identity:
    """An embedder that is only asked who it is."""

    def __init__(self) -> None:
        """Be there, as a model of 4 dimensions."""
        self.model = ModelIdentity("mill", "", 4)
        self.is_away = False

    async def identify(self, held: ModelIdentity | None = None) -> ModelIdentity:  # noqa: ARG002
        """Tell, or be away."""
        if self.is_away:
            raise TransientError("away")
        return self.model

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Embedded:  # noqa: ARG002
        """Not be asked."""
        raise AssertionError(texts)

    async def aclose(self) -> None:
        """Hold nothing."""


@pytest.fixture
def embedder() -> Identity:
    """Give the embedder."""
    return Identity()


@pytest.fixture
async def stores(
    milvus_settings: Settings, redis: Redis, embedder: Identity
) -> AsyncIterator[Stores]:
    """Give the stores of a process."""
    stores = Stores(milvus_settings, redis, embedder)
    yield stores
    await stores.close()


async def test_a_collection_is_opened_once(
    stores: Stores, client: MilvusClient, collection: str
) -> None:
    """Tasks that ask together get one and the same store, and so do later ones."""
    together = await asyncio.gather(*(stores.get(collection) for _ in range(8)))
    assert len({id(store) for store in [*together, await stores.get(collection)]}) == 1


async def test_a_dropped_collection_is_opened_anew(
    stores: Stores, client: MilvusClient, collection: str
) -> None:
    """After a write found it gone, the next one who asks gets a new collection."""
    store = await stores.get(collection)
    await store.upsert(ROWS, VECTORS)
    client.drop_collection(f"{collection}_1")
    with pytest.raises(CollectionGoneError):
        await store.upsert(ROWS, VECTORS)
    again = await stores.get(collection)
    assert again is not store
    await again.upsert(ROWS, VECTORS)
    assert await stores.get(collection) is again


async def test_a_failed_opening_is_tried_again(
    stores: Stores, client: MilvusClient, collection: str, embedder: Identity
) -> None:
    """An endpoint that was away at first is no reason never to open the collection."""
    embedder.is_away = True
    with pytest.raises(TransientError):
        await stores.get(collection)
    embedder.is_away = False
    await (await stores.get(collection)).upsert(ROWS, VECTORS)


async def test_another_model_gets_no_store(
    stores: Stores, client: MilvusClient, collection: str, embedder: Identity
) -> None:
    """Nothing is ever written to a collection of another model."""
    embedder.model = ModelIdentity("sail", "", 4)
    first = Stores(stores._settings, stores._redis, Identity())
    await first.get(collection)
    with pytest.raises(CollectionMismatchError, match="sail"):
        await stores.get(collection)
    await first.close()


async def test_stores_can_be_closed_unused(milvus_settings: Settings, redis: Redis) -> None:
    """Closing what was never opened is no error, and closing twice neither."""
    stores = Stores(milvus_settings, redis, Identity())
    await stores.close()
    await stores.close()


async def test_a_check_finds_an_outage_and_its_end(tmp_path: Path, settings: Settings) -> None:
    """A sign of life is asked of the server and of the way of writes; nothing changes by it."""
    with milvus_lite(tmp_path / "milvus") as server:
        stores = Stores(
            settings.model_copy(update={"milvus_uri": server.uri}),
            Redis.from_url("redis://unused"),
            Identity(),
        )
        await stores.check()  # opens a connection, as nobody has yet
        await asyncio.to_thread(server.kill)
        with pytest.raises(UnreachableError):
            await stores.check()
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(TransientError):
                    await stores.check()
                    break
                await asyncio.sleep(0.1)
        await stores.close()


async def test_a_check_changes_no_row(
    stores: Stores, client: MilvusClient, collection: str
) -> None:
    """What is deleted for a try is not there; a collection that is gone is no outage."""
    store = await stores.get(collection)
    await store.upsert(ROWS, VECTORS)
    await stores.check()
    counted = client.query(
        f"{collection}_1", output_fields=["count(*)"], consistency_level="Strong"
    )
    assert counted[0]["count(*)"] == 1
    client.drop_collection(f"{collection}_1")
    await stores.check()


async def test_a_check_of_writes(
    stores: Stores, client: MilvusClient, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that lists collections and takes no writes is not healthy."""
    await stores.get(collection)

    def refuse(*_: object, **__: object) -> None:
        raise MilvusException(code=2, message="no log")

    async with stores._connection.used() as used:
        monkeypatch.setattr(used, "delete", refuse)
    with pytest.raises(UnreachableError):
        await stores.check()
