"""All servers and programs of a run, on loopback and free ports, in one folder."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from celery import Celery
from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from benchmarks.rig.expected import expected
from benchmarks.rig.importer import Importer
from benchmarks.rig.judge import Expected, Judgement, judge
from benchmarks.rig.library import POISON, Library
from benchmarks.rig.patience import until
from benchmarks.rig.program import HEADRACE, Program
from benchmarks.rig.proxy import HOST, Proxy
from benchmarks.rig.reaper import Reaper
from benchmarks.rig.tap import Tap
from contract.ids import document_id
from contract.ledger.ledger import Ledger
from contract.names import Keys
from contract.queue import make_app
from contract.settings import load_settings
from contract.tasks import end
from headrace.bench.faults import Faults
from headrace.bench.vectors import HashedWords
from tests.servers.endpoint import FakeEndpoint, fake_endpoint
from tests.servers.milvus import MilvusLite, milvus_lite
from tests.servers.redis import RedisServer, redis_tcp_server
from tests.servers.worker import environment

COLLECTION = "documents"
LEASE_SECONDS = 4.0
QUARANTINE_SECONDS = 5.0
DIMENSIONS = 64
CALM = Faults(latency_seconds=0.15, refuse_marker=POISON)
"""The endpoint without faults."""
_WORKERS = 2
_TUNING = {
    "embedding_timeout_seconds": 4,
    "chunk_size": 60,
    "chunk_overlap": 6,
    "batch_max_chunks": 6,
    "max_unfinished_batches": 30,  # so that producers are at work as long as workers
    "worker_concurrency": 4,
    "lease_seconds": LEASE_SECONDS,
    "quarantine_seconds": QUARANTINE_SECONDS,
    "batch_timeout_seconds": 60,
    "store_timeout_seconds": 5,
    "redis_timeout_seconds": 3,
    "connect_timeout_seconds": 2,
    "drain_seconds": 5,
}


@dataclass(frozen=True, slots=True)
class Place:
    """A worker, with the only ways on which it reaches the servers."""

    program: Program
    redis: Proxy
    milvus: Proxy


@dataclass
class Rig:
    """What runs; ``running_rig`` makes and ends it.

    Attributes:
        folder: holds everything, logs too.
        client: of Redis, past the proxies; gives bytes.
        say: takes the lines of the run's log.
        violations: what was wrong before the end.
    """

    folder: Path
    library: Library
    redis: RedisServer
    milvus: MilvusLite
    endpoint: FakeEndpoint
    workers: tuple[Place, ...]
    scheduler: Program
    importer: Importer
    client: Redis
    app: Celery
    tap: Tap
    reaper: Reaper
    variables: dict[str, str]
    say: Callable[[str], None]
    violations: list[str] = field(default_factory=list)

    @property
    def ledger(self) -> Ledger:
        """The ledger, past the proxies."""
        return Ledger(self.client, COLLECTION)

    async def calm(self) -> None:
        """Let the endpoint work as it should."""
        await asyncio.to_thread(self.endpoint.faults, **asdict(CALM))

    async def without(self, server: RedisServer | MilvusLite, seconds: float) -> None:
        """Kill a server, and bring it back at the same address, with the same data."""
        pid = server.pid
        await asyncio.to_thread(server.kill)
        self.reaper.forget(pid)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(server.start)
        self.reaper.watch(server.pid)

    async def rest(self, seconds: float, *, quarantine: bool = True) -> None:
        """Wait until nothing is left to do: no batch, and no version in quarantine, if so asked.

        Raises:
            TimeoutError: something still was after this time.
        """
        keys = Keys(COLLECTION)

        async def at_rest() -> bool:
            pipe = self.client.pipeline(transaction=True)
            for key in (keys.waiting, keys.leased, *([keys.graves] if quarantine else [])):
                pipe.zcard(key)
            return not any(await pipe.execute())

        await until(at_rest, "everything to come to rest", seconds)

    async def judge(self) -> Judgement:
        """Compare what is there with the folder as it is now."""
        return await asyncio.to_thread(self._judge)

    def _judge(self) -> Judgement:
        passages = expected(self.library.folder, self.variables)
        key = str(self.library.poisoned.relative_to(self.library.folder)).encode()
        poison = document_id(self.library.folder.name, key)
        passages.pop(poison, None)
        should = Expected(passages, frozenset({poison}), HashedWords(DIMENSIONS).embed)
        with SyncRedis.from_url(self.redis.url, decode_responses=True) as redis:
            return judge(redis, self.milvus.uri, COLLECTION, should)


@asynccontextmanager
async def running_rig(
    folder: Path,
    seed: str,
    documents: int,
    *,
    say: Callable[[str], None],
    workers: int = _WORKERS,
    **settings: object,
) -> AsyncIterator[Rig]:
    """Run everything while the block lasts; the importer is started by the caller.

    Args:
        folder: an empty one.
        seed: of the library and its changes.
        documents: how many, about.
        say: takes lines for the log.
        workers: how many.
        settings: other than usual.
    """
    async with AsyncExitStack() as stack:
        reaper = Reaper()
        stack.callback(reaper.close)
        servers = ExitStack()
        stack.push_async_callback(asyncio.to_thread, servers.close)
        for name in ("redis", "logs"):
            (folder / name).mkdir()
        redis, milvus, endpoint = await asyncio.to_thread(_start_servers, servers, folder)
        for pid in (redis.pid, milvus.pid, endpoint.pid):
            reaper.watch(pid)
        variables = _environment(folder, endpoint.url, settings, redis.url, milvus.uri)
        places = tuple(
            [
                await _place(stack, f"worker-{number}", (redis, milvus), variables, reaper)
                for number in range(workers)
            ]
        )
        scheduler = Program(
            "scheduler", (*HEADRACE, "-v", "scheduler"), variables, folder / "logs", reaper
        )
        stack.push_async_callback(scheduler.aclose)
        library = Library(folder / "library", documents, seed)
        importer = Importer(library.folder, variables, folder / "logs", reaper, seed)
        stack.push_async_callback(importer.aclose)
        # It may hold a connection from before a fault, and notice at the next command.
        retry = Retry(ConstantBackoff(0.1), 20)
        client = Redis.from_url(redis.url, retry=retry, retry_on_error=[RedisConnectionError])
        stack.push_async_callback(client.aclose)
        tap = Tap(client, COLLECTION)
        listening = asyncio.create_task(tap.keep_listening(), name="tap")
        stack.push_async_callback(end, listening)
        app = make_app(load_settings(variables, folder))
        stack.callback(app.close)
        scheduler.start()
        for place in places:
            place.program.start()
        yield Rig(
            folder, library, redis, milvus, endpoint, places, scheduler, importer, client, app,
            tap, reaper, variables, say,
        )  # fmt: skip


def _start_servers(
    servers: ExitStack, folder: Path
) -> tuple[RedisServer, MilvusLite, FakeEndpoint]:
    redis = servers.enter_context(
        redis_tcp_server(folder / "redis", appendonly=True, appendfsync="no")
    )
    milvus = servers.enter_context(milvus_lite(folder / "milvus"))
    endpoint = servers.enter_context(fake_endpoint(dimensions=DIMENSIONS))
    endpoint.faults(**asdict(CALM))
    return redis, milvus, endpoint


async def _place(
    stack: AsyncExitStack,
    name: str,
    servers: tuple[RedisServer, MilvusLite],
    variables: Mapping[str, str],
    reaper: Reaper,
) -> Place:
    redis, milvus = servers
    assert isinstance(redis.where, tuple)  # noqa: S101 - it listens on TCP
    proxies = (Proxy(redis.where[1]), Proxy(milvus.port))
    for proxy in proxies:
        await proxy.open()
        stack.push_async_callback(proxy.aclose)
    through = {
        **variables,
        "HEADRACE_REDIS_URL": f"redis://{HOST}:{proxies[0].port}/0",
        "HEADRACE_MILVUS_URI": f"http://{HOST}:{proxies[1].port}",
    }
    program = Program(
        name, (*HEADRACE, "worker"), through, Path(variables["HOME"]) / "logs", reaper
    )
    stack.push_async_callback(program.aclose)
    return Place(program, *proxies)


def _environment(
    folder: Path, endpoint_url: str, settings: Mapping[str, object], redis_url: str, milvus_uri: str
) -> dict[str, str]:
    return environment(
        folder,
        redis_url=redis_url,
        milvus_uri=milvus_uri,
        collection=COLLECTION,
        embedding_provider="openai",
        embedding_base_url=endpoint_url,
        embedding_dimensions=DIMENSIONS,
        embedding_api_key="no-key",
        **{**_TUNING, **settings},
    )


async def keep_changing(library: Library, draw: random.Random, seconds: float) -> None:
    """Change one thing every so many seconds, about, until cancelled."""
    while True:
        begun = time.monotonic()
        library.change()
        spent = time.monotonic() - begun
        await asyncio.sleep(max(draw.uniform(0, 2 * seconds) - spent, 0.0))
