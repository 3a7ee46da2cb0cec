"""Measures what metrics cost a worker: CPU of this process, with them and without.

``python benchmarks/metrics.py`` counts finished batches as a worker does, a request to the endpoint
and one to Milvus for each, against the same calls that count nothing; then scrapes; then probes of
rows in Milvus Lite, of which a worker makes one a second at the most. Medians of the rounds.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry, generate_latest

from contract.batch import Chunk, Part
from contract.lane import Lane
from contract.ledger.connection import connect
from contract.process_metrics import show_process
from contract.settings import Settings, load_settings
from tests.servers.milvus import milvus_lite
from tests.servers.redis import redis_server
from worker.breaker import Dependency
from worker.coalescing import Departure
from worker.collections import ensure_collection
from worker.embedding.embedder import ModelIdentity
from worker.embedding.metered import Code
from worker.metrics import Metrics
from worker.milvus import open_connection, quiet_libraries
from worker.outcome import Ingested, Outcome, Stage
from worker.store import MilvusStore, rows_of
from worker.store_metrics import Operation, ignore

COLLECTION = "counted"
DIMENSIONS = 384
PROBES = 200


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks/metrics.py")
    parser.add_argument("--chunks", type=int, default=128, help="of a batch")
    parser.add_argument("--batches", type=int, default=5_000, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    quiet_libraries()
    ways = {"counted": _counting(options.chunks), "not counted": _idling(options.chunks)}
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, way in ways.items():
            begun = time.process_time()
            for _ in range(options.batches):
                way()
            found[name].append((time.process_time() - begun) / options.batches * 1e6)
    for name, times in found.items():
        micros = statistics.median(times)
        print(f"{name:12} {micros:7.2f} us a batch  {micros / options.chunks:7.4f} us a chunk")
    _scrape(options.rounds)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hr-")))
        server = stack.enter_context(redis_server(folder))
        lite = stack.enter_context(milvus_lite(folder / "milvus"))
        settings = load_settings({}, folder, redis_url=server.url, milvus_uri=lite.uri)
        asyncio.run(_probe(settings))
    return 0


def _counting(chunks: int) -> Callable[[], None]:
    """Give what counts one batch as a worker does."""
    metrics = Metrics(CollectorRegistry())
    embedding = metrics.requests.observer(Dependency.EMBEDDING)
    milvus = metrics.requests.observer(Dependency.MILVUS)

    def count() -> None:
        with metrics.in_flight.track_inprogress():
            departure = Departure(chunks, 1, 1.0, 0.001)
            embedding(departure)
            metrics.embedding.requested(Code.WELL, 0.1)
            milvus(departure)
            metrics.store.observe(Operation.UPSERT, 0.02)
        metrics.observe(_ingested(chunks))

    return count


def _idling(chunks: int) -> Callable[[], None]:
    """Give the same without metrics."""

    def idle() -> None:
        Departure(chunks, 1, 1.0, 0.001)
        Departure(chunks, 1, 1.0, 0.001)
        ignore(Operation.UPSERT, 0.02)
        _ingested(chunks)

    return idle


def _ingested(chunks: int) -> Ingested:
    return Ingested(
        Outcome.FINISHED,
        chunks=chunks,
        documents=3,
        tokens=100 * chunks,
        text_bytes=600 * chunks,
        seconds={Stage.EMBED: 0.1, Stage.WRITE: 0.02, Stage.COMMIT: 0.001},
        lane=Lane.BULK,
        waited_seconds=0.5,
        age_seconds=1.0,
    )


def _scrape(rounds: int) -> None:
    metrics = Metrics(CollectorRegistry())
    show_process(metrics.registry)
    times = []
    for _ in range(rounds * 20):
        begun = time.process_time()
        text = generate_latest(metrics.registry)
        times.append((time.process_time() - begun) * 1e3)
    series = sum(not line.startswith(b"#") for line in text.splitlines())
    print(f"a scrape     {statistics.median(times):7.2f} ms, {series} series, {len(text)} bytes")


async def _probe(settings: Settings) -> None:
    redis = connect(settings)
    connection = open_connection(settings)
    async with connection.used() as client:
        model = ModelIdentity("model", "", DIMENSIONS)
        physical = await ensure_collection(client, redis, settings, COLLECTION, model)
    store = MilvusStore(connection, physical, settings)
    part = Part(
        document_id="0" * 32,
        source="counted",
        version=1,
        content_hash="hash",
        chunk_count=1_000,
        first=0,
        chunks=tuple(Chunk(key=str(n), text=f"sack {n}. " * 60) for n in range(1_000)),
    )
    rows = rows_of(part)
    draw = np.random.default_rng(1)
    await store.upsert(rows, draw.random((len(rows), DIMENSIONS), np.float32))
    sample = [rows[place].chunk_id for place in (0, 500, 999)]
    begun, wall = time.process_time(), time.perf_counter()
    for _ in range(PROBES):
        await store.read(sample, vectors=False)
    cpu, wall = time.process_time() - begun, time.perf_counter() - wall
    print(f"a probe      {cpu / PROBES * 1e3:7.2f} ms of CPU here, {wall / PROBES * 1e3:.1f} ms")
    await store.close()
    await connection.aclose()
    await redis.aclose()


if __name__ == "__main__":
    sys.exit(main())
