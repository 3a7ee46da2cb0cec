"""Measures how long one chunk takes on an idle system: from publication until a search finds it.

``python benchmarks/lone.py`` starts a Redis, Milvus Lite, an endpoint and one worker. A document of
one chunk is planned and published as every other, then searched for until it is found; beside that
stands the sum of the bare steps: one embedding request, one upsert of ready columns, one search
after the other until the row is found. Medians and 95th percentiles, both ways in turns.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from pathlib import Path

from celery import Celery
from langchain_core.documents import Document
from pymilvus import MilvusClient
from redis.asyncio import Redis

from contract.batch import Chunk, Part
from contract.ledger.connection import connect
from contract.queue import make_app
from contract.settings import Settings, load_settings
from headrace.search import Terms, find
from producers.producer import Producer
from producers.sources.documents import DocumentSource
from tests.servers.endpoint import fake_endpoint
from tests.servers.milvus import milvus_lite
from tests.servers.redis import redis_server
from tests.servers.worker import environment, worker_program
from worker.collections import ensure_collection
from worker.embedding.build import make_embedder
from worker.embedding.embedder import Embedder
from worker.milvus import open_connection, quiet_libraries
from worker.store import MilvusStore, rows_of

COLLECTION = "lone"
REST_SECONDS = 0.1
"""Between two chunks, so that everything is idle again."""
LONGEST_SECONDS = 30.0
WARM_UP = 5
"""Chunks that are not measured."""


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks/lone.py")
    parser.add_argument("--chunks", type=int, default=100)
    parser.add_argument("--latency-ms", type=float, default=0.0, help="of embedding")
    parser.add_argument("--join-wait-seconds", type=float, default=0.003)
    options = parser.parse_args()
    quiet_libraries()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hr-")))
        server = stack.enter_context(redis_server(folder, appendonly=True))
        endpoint = stack.enter_context(fake_endpoint(latency_seconds=options.latency_ms / 1e3))
        lite = stack.enter_context(milvus_lite(folder / "milvus"))
        settings = load_settings(
            {},
            folder,
            redis_url=server.url,
            milvus_uri=lite.uri,
            collection=COLLECTION,
            embedding_provider="openai",
            embedding_base_url=endpoint.url,
            embedding_dimensions=384,
            join_wait_seconds=options.join_wait_seconds,
        )
        variables = {**environment(folder), **settings.environment()}
        stack.enter_context(worker_program(folder, variables))
        asyncio.run(_measure(settings, options.chunks))
    return 0


async def _measure(settings: Settings, chunks: int) -> None:
    async with contextlib.AsyncExitStack() as stack:
        bench = await Bench.opened(settings, stack)
        times: dict[str, list[float]] = {"headrace": [], "bare steps": []}
        for number in range(chunks + WARM_UP):
            for way, found in times.items():
                seconds = await bench.lone(way, number)
                if number >= WARM_UP:
                    found.append(seconds * 1e3)
    for way, found in times.items():
        p95 = statistics.quantiles(found, n=20)[-1]
        print(f"{way:12} p50 {statistics.median(found):6.1f} ms   p95 {p95:6.1f} ms")


class Bench:
    """Everything that a chunk goes through, opened."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        app: Celery,
        embedder: Embedder,
        client: MilvusClient,
        store: MilvusStore,
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._app = app
        self._embedder = embedder
        self._client = client
        self._store = store

    @classmethod
    async def opened(cls, settings: Settings, stack: contextlib.AsyncExitStack) -> "Bench":
        """Connect to the servers and make the collection; the stack closes it all."""
        redis = connect(settings)
        stack.push_async_callback(redis.aclose)
        app = stack.enter_context(make_app(settings))
        embedder = make_embedder(settings)
        stack.push_async_callback(embedder.aclose)
        connection = open_connection(settings)
        stack.push_async_callback(connection.aclose)
        client = await stack.enter_async_context(connection.used())
        model = await embedder.identify()
        physical = await ensure_collection(client, redis, settings, COLLECTION, model)
        store = MilvusStore(connection, physical, settings)
        stack.push_async_callback(store.close)
        return cls(settings, redis, app, embedder, client, store)

    async def lone(self, way: str, number: int) -> float:
        """Bring one chunk in, and give the seconds until it was found."""
        text = f"By {way}: note {number} of the miller, on sluices and {number * 7} sacks."
        vectors = (await self._embedder.embed([text])).vectors
        await asyncio.sleep(REST_SECONDS)
        begun = time.perf_counter()
        if way == "headrace":
            source = DocumentSource(way, [Document(id=str(number), page_content=text)])
            await Producer(self._redis, self._settings, source, COLLECTION).run(self._app)
        else:
            embedded = await self._embedder.embed([text])
            await self._store.upsert(rows_of(_part(way, number, text)), embedded.vectors)
        terms = Terms(COLLECTION, limit=1)
        while True:
            (hits,) = await find(self._client, self._settings, vectors, terms)
            if hits and hits[0].text == text:
                return time.perf_counter() - begun
            if time.perf_counter() - begun > LONGEST_SECONDS:
                raise TimeoutError(f"{text!r} is not found")


def _part(way: str, number: int, text: str) -> Part:
    return Part(
        document_id=f"{number:032d}",
        source=way,
        version=1,
        content_hash=str(number),
        chunk_count=1,
        first=0,
        chunks=(Chunk(key=str(number), text=text),),
    )


if __name__ == "__main__":
    sys.exit(main())
