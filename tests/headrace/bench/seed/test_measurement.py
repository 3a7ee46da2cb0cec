"""Tests of the measurement of the tutorial's table, on both Milvus servers."""

import asyncio
import secrets
from collections.abc import Callable, Iterator

import pytest
from pymilvus import MilvusClient

from contract.errors import TransientError
from contract.settings import Settings
from headrace.bench.seed.langchain_ways import GatherWay, LoopWay
from headrace.bench.seed.measurement import check, measure
from headrace.bench.seed.model import Model, with_endpoint
from headrace.bench.seed.operation import Operation, Way, WayName, documents
from headrace.bench.seed.options import SeedOptions
from headrace.bench.seed.pipeline_way import PipelineWay, terms_of
from headrace.bench.throwaway import PREFIX, drop_collections
from tests.servers.endpoint import FakeEndpoint
from worker.embedding.build import make_embedder
from worker.milvus import connect

STORED = 4
TINY = SeedOptions(counts=(2, 3), rounds=2, stored=STORED, latency_ms=1.0, dimensions=16)


@pytest.fixture
def ours(settings: Settings, milvus_uri: str) -> Settings:
    """Give settings that name a real server, and no Redis: none is needed."""
    return settings.model_copy(update={"milvus_uri": milvus_uri, "redis_url": None})


@pytest.fixture
def client(ours: Settings) -> Iterator[MilvusClient]:
    """Give a client of that server."""
    client = connect(ours)
    yield client
    client.close()


def left_behind(client: MilvusClient) -> list[str]:
    """Name the benchmark's collections."""
    return [name for name in client.list_collections() if name.startswith(PREFIX)]


def test_every_cell_has_a_time_for_each_round(ours: Settings, client: MilvusClient) -> None:
    """All operations, counts and ways are measured; the collections are gone at the end."""
    lines: list[str] = []
    table = measure(ours, TINY, lines.append)
    cells = {(cell.operation, cell.count, cell.way) for cell in table.times}
    assert cells == {(o, c, w) for o in Operation for c in TINY.counts for w in WayName}
    assert {len(seconds) for seconds in table.times.values()} == {TINY.rounds}
    assert lines[0] == "warming up"
    assert lines[-1] == "round 2 of 2: 3 operations"
    assert table.facts["server"]["milvus"] == ours.milvus_uri
    assert table.facts["endpoint"]["latency_ms"] == 1.0
    assert left_behind(client) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, TransientError("away")])
def test_collections_go_whatever_ends_it(
    ours: Settings, client: MilvusClient, error: type[BaseException] | BaseException
) -> None:
    """Stopped or failed in the middle, it leaves nothing behind."""
    seen: list[list[str]] = []

    def stop(line: str) -> None:
        if line.startswith("round 1"):
            seen.append(left_behind(client))
            raise error

    with pytest.raises((KeyboardInterrupt, TransientError)):
        measure(ours, TINY, stop)
    assert len(seen[0]) == 3
    assert left_behind(client) == []


@pytest.mark.parametrize("name", WayName)
def test_each_way_does_what_it_says(
    ours: Settings, client: MilvusClient, endpoint: FakeEndpoint, name: WayName
) -> None:
    """Rows come, stay, are found and go; ours asks the model once, the tutorial's for each."""
    options = SeedOptions(base_url=endpoint.url, model="m")
    ours = with_endpoint(ours, options, endpoint.url)
    collection = f"{PREFIX}_{secrets.token_hex(4)}_x"
    embedder, model = make_embedder(ours), Model(ours)
    batch = documents(20, "these")
    with asyncio.Runner() as runner:
        ways: dict[WayName, Callable[[], Way]] = {
            WayName.LOOP: lambda: LoopWay(ours, model.embeddings, collection),
            WayName.GATHER: lambda: GatherWay(ours, model.embeddings, collection, runner),
            WayName.HEADRACE: lambda: PipelineWay(
                ours, embedder, client, terms_of(collection, fresh=True), runner
            ),
        }
        way = ways[name]()
        try:
            way.fill(documents(STORED, "stored"))
            for operation in Operation:
                endpoint.reset()
                found = way.run(operation, batch)
                check("it", operation, batch, found, rows=way.count() - STORED)
                requests = endpoint.stats()["requests"]
                if operation is Operation.DELETE:
                    assert requests == 0
                else:
                    assert requests == (1 if name is WayName.HEADRACE else len(batch))
        finally:
            way.close()
            runner.run(embedder.aclose())
            runner.run(model.aclose())
            drop_collections(client, collection)


def test_what_was_not_done_is_noticed() -> None:
    """Deletions that report success and delete nothing, rows that are missing, wrong hits."""
    batch = documents(2, "these")
    texts = [[document.page_content] for document in batch]
    none: list[list[str]] = [[], []]
    check("it", Operation.ADD, batch, none, rows=2)
    check("it", Operation.SEARCH, batch, texts, rows=2)
    check("it", Operation.DELETE, batch, none, rows=0)
    with pytest.raises(TransientError, match="there are 1 rows, not 2"):
        check("it", Operation.ADD, batch, none, rows=1)
    with pytest.raises(TransientError, match="there are 2 rows, not 0"):
        check("it", Operation.DELETE, batch, none, rows=2)
    with pytest.raises(TransientError, match="missed 2 of 2"):
        check("it", Operation.SEARCH, batch, texts[::-1], rows=2)


def test_documents_differ_between_batches_and_not_between_runs() -> None:
    """No way gains from texts that were seen before, and every run measures the same."""
    assert documents(3, "a") == documents(3, "a")
    texts = {one.page_content for one in [*documents(100, "a"), *documents(100, "b")]}
    assert len(texts) == 200
    assert len({one.id for one in documents(100, "a")}) == 100
