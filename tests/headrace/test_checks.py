"""The first look: ledger and collection that have lost each other find together again."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis

from contract.settings import Settings
from headrace.checks import prepare_collection
from tests.headrace.verify.archive import Archive
from tests.servers.endpoint import FakeEndpoint
from tests.worker.conftest import drop
from worker.embedding.build import make_embedder
from worker.embedding.embedder import Embedder
from worker.milvus import connect, quiet_libraries
from worker.stores import Stores

NAME = "checked"


@dataclass
class Front:
    """What an import finds before it begins."""

    archive: Archive
    embedder: Embedder
    said: list[str] = field(default_factory=list)

    async def look(self) -> str:
        """Take the first look; gives what a person is told."""
        self.said.clear()
        archive = self.archive
        await prepare_collection(
            archive.redis, archive.settings, NAME, self.embedder, say=self.said.append
        )
        return "\n".join(self.said)

    async def unchanged(self, *documents: str) -> int:
        """Count those whose content counts as unchanged."""
        known = await self.archive.ledger.promises.lookup([(d, "1") for d in documents])
        return sum(item is not None for item in known)


@pytest.fixture
async def front(
    redis: Redis,
    settings: Settings,
    milvus_lite_uri: str,
    endpoint: FakeEndpoint,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Front]:
    """Give servers on which nothing was ever brought."""
    quiet_libraries()
    monkeypatch.setenv("OPENAI_API_KEY", "no-key")
    ours = settings.model_copy(
        update={
            "milvus_uri": milvus_lite_uri,
            "embedding_provider": "openai",
            "embedding_base_url": endpoint.url,
            "embedding_dimensions": 384,
        }
    )
    embedder = make_embedder(ours)
    client = await asyncio.to_thread(connect, ours)
    yield Front(Archive(ours, redis, client, NAME, vector=[0.5] * 384), embedder)
    await embedder.aclose()
    drop(client, NAME)
    client.close()


async def test_a_new_collection_makes_a_ledger_that_knows_all(front: Front) -> None:
    """Nothing is said, and a second look finds nothing to do."""
    assert await front.look() == ""
    rebuilding = front.archive.rebuilding
    assert await rebuilding.is_built()
    identity = await rebuilding.counterpart()
    assert identity
    await front.archive.bring("a.md", 2)
    assert await front.look() == ""
    assert await rebuilding.counterpart() == identity


async def test_a_lost_ledger_is_rebuilt_once(front: Front) -> None:
    """A person is told, and its documents are unchanged; the next look finds all well."""
    await front.look()
    part = await front.archive.bring("a.md", 2)
    await front.archive.redis.flushall()
    assert "1 documents are known again" in await front.look()
    assert await front.unchanged(part.document_id) == 1
    assert await front.look() == ""


async def test_a_ledger_that_may_not_know_all_is_completed(front: Front) -> None:
    """What it knows stays; a document that was promised meanwhile is not replaced."""
    await front.look()
    old = await front.archive.bring("a.md", 2)
    other = await front.archive.bring("b.md", 2)
    await front.archive.redis.flushall()
    front.archive.job = ""
    promised = await front.archive.promise("a.md", 3, "2")
    assert "1 documents are known again" in await front.look()
    (state,) = await front.archive.rebuilding.states([old.document_id])
    assert state.wanted == promised.version
    assert await front.unchanged(other.document_id) == 1


async def test_documents_of_a_dropped_collection_are_not_unchanged(front: Front) -> None:
    """Also when a worker has made it anew, and brought some of them since."""
    await front.look()
    lost = await front.archive.bring("lost.md", 2)
    half = await front.archive.promise("half.md", 2)
    front.archive.client.drop_collection(f"{NAME}_1")
    await _make_anew(front)
    kept = await front.archive.bring("kept.md", 2)
    assert "the rows of 2 documents" in await front.look()
    assert await front.unchanged(lost.document_id, half.document_id) == 0
    assert await front.unchanged(kept.document_id) == 1
    assert await front.look() == ""


async def test_a_ledger_of_before_such_notes_is_not_given_up(front: Front) -> None:
    """With rows in the collection it is taken to be about that one."""
    await front.look()
    part = await front.archive.bring("a.md", 2)
    await front.archive.redis.delete(front.archive.ledger.keys.meta)
    assert "0 documents are known again" in await front.look()
    assert await front.unchanged(part.document_id) == 1


async def _make_anew(front: Front) -> None:
    """Do as a worker does that finds no collection."""
    stores = Stores(front.archive.settings, front.archive.redis, front.embedder)
    await stores.get(NAME)
    await stores.close()
