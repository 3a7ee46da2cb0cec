"""Promises of searching, with Milvus Lite."""

from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from contract.batch import Chunk, Part
from contract.errors import CollectionMismatchError, UnreachableError, UsageError
from contract.settings import Settings
from headrace.checks import prepare_collection
from headrace.search import search
from tests.servers.endpoint import FakeEndpoint
from tests.servers.milvus import MilvusLite, milvus_lite
from tests.servers.redis import free_port
from worker.embedding.build import make_embedder
from worker.embedding.embedder import Embedder
from worker.milvus import open_connection
from worker.store import MilvusStore, rows_of


@pytest.fixture(scope="module")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusLite]:
    """Run one Milvus Lite for these tests."""
    with milvus_lite(tmp_path_factory.mktemp("milvus")) as server:
        yield server


@pytest.fixture
def ours(settings: Settings, milvus: MilvusLite, endpoint: FakeEndpoint) -> Settings:
    """Give settings that name real servers and the fake endpoint."""
    return settings.model_copy(
        update={
            "milvus_uri": milvus.uri,
            "embedding_provider": "openai",
            "embedding_base_url": endpoint.url,
            "embedding_dimensions": 384,
        }
    )


@pytest.fixture
async def embedder(ours: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Embedder]:
    """Give the model."""
    monkeypatch.setenv("OPENAI_API_KEY", "no-key")
    embedder = make_embedder(ours)
    yield embedder
    await embedder.aclose()


def _part(version: int, texts: list[str]) -> Part:
    return Part(
        document_id="d" * 32,
        source="docs",
        version=version,
        content_hash="h",
        chunk_count=len(texts),
        first=0,
        chunks=tuple(Chunk(key=text, text=text, headings=("Top", "Sub")) for text in texts),
        metadata={"path": "a.md", "title": "A"},
    )


async def _fill(redis: Redis, ours: Settings, embedder: Embedder, name: str) -> None:
    """Write two versions of one document, as they are for a moment in an update."""
    await prepare_collection(redis, ours, name, embedder)
    connection = open_connection(ours)
    store = MilvusStore(connection, f"{name}_1", ours)
    for version, texts in ((1, ["mill", "weir", "lock"]), (2, ["mill", "weir", "sluice"])):
        vectors = (await embedder.embed(texts)).vectors
        await store.upsert(rows_of(_part(version, texts)), vectors)
    await store.close()
    await connection.aclose()


async def test_each_text_is_found_once_and_the_nearest_first(
    redis: Redis, ours: Settings, embedder: Embedder
) -> None:
    """Two versions of a text are one hit, with all that a reader needs."""
    await _fill(redis, ours, embedder, "found")
    hits = await search(ours, embedder, "found", "weir", limit=4)
    assert sorted(hit.text for hit in hits) == ["lock", "mill", "sluice", "weir"]
    best = hits[0]
    assert (best.text, best.source, best.path) == ("weir", "docs", "a.md")
    assert best.headings == ("Top", "Sub")
    assert best.score == pytest.approx(1.0, abs=1e-3)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert best.metadata["title"] == "A"
    assert "vector" not in best.as_dict()["metadata"]
    limited = await search(ours, embedder, "found", "weir", limit=1)
    assert [hit.text for hit in limited] == ["weir"]


async def test_a_filter_holds_and_a_wrong_one_is_wrong_use(
    redis: Redis, ours: Settings, embedder: Embedder
) -> None:
    """A filter limits what is found; one that Milvus can't read is refused."""
    await _fill(redis, ours, embedder, "filtered")
    hits = await search(ours, embedder, "filtered", "weir", limit=4, expression="version == 1")
    assert sorted(hit.text for hit in hits) == ["lock", "mill", "weir"]
    with pytest.raises(UsageError):
        await search(ours, embedder, "filtered", "weir", limit=4, expression="version ==== ")


async def test_what_does_not_fit_is_refused(
    redis: Redis, ours: Settings, embedder: Embedder
) -> None:
    """No collection, another model and no server are told apart."""
    with pytest.raises(UsageError, match="no collection 'nothing' yet"):
        await search(ours, embedder, "nothing", "weir", limit=1)
    await prepare_collection(redis, ours, "other", embedder)
    another = ours.model_copy(update={"embedding_dimensions": 128, "embedding_model": "other"})
    other_embedder = make_embedder(another)
    with pytest.raises(CollectionMismatchError, match="holds vectors of"):
        await search(another, other_embedder, "other", "weir", limit=1)
    await other_embedder.aclose()
    away = ours.model_copy(update={"milvus_uri": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(UnreachableError):
        await search(away, embedder, "other", "weir", limit=1)
