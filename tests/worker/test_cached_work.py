"""What a batch counts whose texts are in the embedding cache."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from tests.worker.rig import Rig, kill
from worker.embedding.cached import CachedEmbedder
from worker.embedding.file_cache import FileCache
from worker.embedding.forgiving_cache import ForgivingCache
from worker.outcome import Ingested, Outcome


@pytest.fixture
async def cached(rig: Rig, tmp_path: Path) -> AsyncIterator[Rig]:
    """Put a cache in front of the rig's mill, which counts a token for each text."""
    cache = ForgivingCache(FileCache(tmp_path / "cache.sqlite", 1024 * 1024))
    rig.embedder = CachedEmbedder(rig.mill, cache, ("mill",))
    rig.ingester = rig.make("w:")
    yield rig
    await rig.embedder.aclose()


async def ingest(rig: Rig, batch_id: str) -> Ingested:
    """Ingest a batch to its end."""
    ingested = await rig.ingester.ingest(rig.shop.collection, batch_id)
    assert ingested.outcome is Outcome.FINISHED
    return ingested


async def test_two_sources_pay_once_for_the_same_text(cached: Rig) -> None:
    """A document of another source embeds what is new alone, and its job tells what it saved."""
    first = await ingest(cached, await cached.shop.order(one="a b c"))
    assert (first.cache_hits, first.cache_misses, first.tokens_saved, first.tokens) == (0, 3, 0, 3)
    assert await cached.shop.count("chunks_cached") == 0
    cached.mill.calls.clear()
    cached.shop.job = await cached.shop.jobs.create("letters")
    (part,) = await cached.shop.parts(two="b a x b")
    batch_id = await cached.shop.publish(msgspec.structs.replace(part, source="letters"))
    second = await ingest(cached, batch_id)
    assert cached.mill.calls == [["x"]]
    assert cached.shop.rows() == {"one": ["a", "b", "c"], "two": ["b", "a", "x", "b"]}
    assert (second.cache_hits, second.cache_misses) == (2, 1)
    assert (second.tokens_saved, second.tokens) == (2, 1)
    assert await cached.shop.count("chunks_cached") == 3
    assert await cached.shop.count("tokens_saved") == 2
    assert await cached.shop.count("tokens") == 1


async def test_a_batch_that_comes_again_counts_once(cached: Rig) -> None:
    """Killed after it was written, it takes its vectors from the cache, and counts at its end."""
    batch_id = await cached.shop.order(one="a b")
    cached.after["upsert"].append(kill)
    await cached.killed_in(batch_id)
    assert await cached.shop.count("chunks_cached") == 0
    await ingest(cached, batch_id)
    assert cached.mill.calls == [["a", "b"]]
    for _ in range(2):
        assert await cached.shop.count("chunks_cached") == 2
        assert await cached.shop.count("tokens_saved") == 2
        await cached.ingester.ingest(cached.shop.collection, batch_id)


async def test_chunks_of_a_dead_document_are_not_written_and_not_counted(cached: Rig) -> None:
    """A refused text costs its document, and what was found in the cache for others counts."""
    await ingest(cached, await cached.shop.order(one="a b"))
    batch_id = await cached.shop.order(two="a poison", three="b")
    ingested = await ingest(cached, batch_id)
    assert ingested.dead == ("EmbeddingRefusedError",)
    assert cached.shop.rows() == {"one": ["a", "b"], "three": ["b"]}
    assert await cached.shop.count("chunks_cached") == 1
    assert await cached.shop.count("tokens_saved") == 2
