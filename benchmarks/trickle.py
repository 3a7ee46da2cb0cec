"""Measures what a message costs: batches of one chunk beside the same chunks in full batches.

``python benchmarks/trickle.py`` fills the queue of a Redis of its own, starts one real worker, and
prints chunks a second and the worker's CPU a chunk, medians of rounds in which kombu's transport
and ours take turns; ``--hollow`` has the worker drop each batch, so that only Celery and the
transport are left. It also prints what announcing costs, and what an idle worker does.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import redis as redis_py
from celery import Celery

from contract.batch import Batch, Chunk, Part
from contract.ledger.connection import connect
from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import Promise
from contract.names import INGEST_TASK, Keys
from contract.queue import announce, make_app, waiting_messages
from contract.settings import Settings, load_settings
from tests.servers.endpoint import fake_endpoint
from tests.servers.milvus import milvus_lite
from tests.servers.redis import redis_server
from tests.servers.worker import WorkerProgram, environment, worker_program

COLLECTION = "trickle"
TOGETHER = 500
"""Documents that are promised and published at a time."""
IDLE_SECONDS = 20.0
LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Cost:
    """What was measured of one worker."""

    chunks_a_second: float
    cpu_us_a_chunk: float


def main() -> int:
    """Measure everything, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks/trickle.py")
    parser.add_argument("--chunks", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hollow", action="store_true", help="no ledger, no model, no Milvus")
    chosen = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hr-")))
        server = stack.enter_context(redis_server(folder, appendonly=True))
        endpoint = stack.enter_context(fake_endpoint())
        lite = stack.enter_context(milvus_lite(folder / "milvus"))
        settings = load_settings(
            {}, folder,
            redis_url=server.url, milvus_uri=lite.uri, collection=COLLECTION,
            embedding_provider="openai", embedding_base_url=endpoint.url,
            embedding_api_key="none", embedding_dimensions=384,
        )  # fmt: skip
        _tell_announcing(settings, chosen.chunks)
        for size in (1,) if chosen.hollow else (1, 128):  # hollow, one is as good as another
            costs: dict[str, list[Cost]] = {"kombu": [], "headrace": []}
            for _ in range(chosen.rounds):
                for transport, found in costs.items():
                    flags = {"TRICKLE_STOCK": "1"} if transport == "kombu" else {}
                    flags |= {"TRICKLE_HOLLOW": "1"} if chosen.hollow else {}
                    found.append(_measured(folder, settings, flags, chosen.chunks, size))
            for transport, found in costs.items():
                _tell(f"batches of {size}, transport of {transport}", found)
        for transport, flags in {"kombu": {"TRICKLE_STOCK": "1"}, "headrace": {}}.items():
            _tell_idle(folder, settings, transport, flags)
    return 0


def _measured(
    folder: Path, settings: Settings, flags: dict[str, str], chunks: int, size: int
) -> Cost:
    """Fill the queue, start a worker, and measure from its first batches to its last."""
    with redis_py.Redis.from_url(_url(settings)) as client:
        client.flushall()
    hollow = "TRICKLE_HOLLOW" in flags
    if hollow:  # the ledger would have them announced again
        batches = [f"{at:032x}" for at in range(0, chunks, size)]
    else:
        batches = asyncio.run(_published(settings, chunks, size))
    with _app(settings) as app:
        announce(app, COLLECTION, batches)
        with _worker(folder, settings, flags) as worker:
            left = (lambda: waiting_messages(app)) if hollow else (lambda: _unfinished(settings))
            return _watched(worker, left, len(batches), chunks)


def _watched(worker: WorkerProgram, left: Callable[[], int], batches: int, chunks: int) -> Cost:
    process = psutil.Process(worker.process.pid)
    while (first := left()) == batches:
        time.sleep(LOOK_SECONDS)
    begun, cpu = time.perf_counter(), _cpu(process)
    while left():
        time.sleep(LOOK_SECONDS)
    seconds, used = time.perf_counter() - begun, _cpu(process) - cpu
    share = chunks * first / batches
    return Cost(share / seconds, used / share * 1e6)


async def _published(settings: Settings, chunks: int, size: int) -> list[str]:
    """Promise documents of one chunk, and publish them in batches of a size; gives their ids."""
    redis = connect(settings)
    ledger = Ledger(redis, COLLECTION)
    job = await Jobs(redis, COLLECTION).create("trickle")
    names = [f"document-{at}" for at in range(chunks)]
    parts: list[Part] = []
    for at in range(0, chunks, TOGETHER):
        promises = [
            Promise(
                document_id=name, source="trickle", key_bytes=name.encode(),
                content_hash=f"of {name}", chunk_count=1,
            )
            for name in names[at : at + TOGETHER]
        ]  # fmt: skip
        made = await ledger.promises.register(job, promises)
        parts += [
            _part(promise, item.version) for promise, item in zip(promises, made, strict=True)
        ]
    batches = [
        Batch(collection=COLLECTION, job=job, parts=tuple(parts[at : at + size]))
        for at in range(0, chunks, size)
    ]
    begun, ids = time.perf_counter(), []
    for at in range(0, len(batches), TOGETHER):
        ids += await ledger.publish(batches[at : at + TOGETHER])
    if size == 1 and chunks == len(batches):
        seconds = time.perf_counter() - begun
        print(f"written down: {len(batches) / seconds:,.0f} batches of one a second", flush=True)
    await redis.aclose()
    return ids


def _part(promise: Promise, version: int) -> Part:
    text = f"What {promise.document_id} says, in a sentence of the length that sentences have."
    return Part(
        document_id=promise.document_id, source=promise.source, version=version,
        content_hash=promise.content_hash, chunk_count=1, first=0,
        chunks=(Chunk(key=promise.document_id, text=text),),
    )  # fmt: skip


def _tell_announcing(settings: Settings, number: int) -> None:
    """Print how many messages a producer sends in a second, one by one and together."""
    ids = [f"{at:032x}" for at in range(number)]
    with _app(settings) as app:
        begun = time.perf_counter()
        with app.producer_or_acquire() as producer:
            for batch_id in ids[: number // 5]:
                app.send_task(INGEST_TASK, args=(COLLECTION, batch_id), producer=producer)
        one_by_one = number // 5 / (time.perf_counter() - begun)
        begun = time.perf_counter()
        announce(app, COLLECTION, ids)
        together = number / (time.perf_counter() - begun)
    print(f"announced: {one_by_one:,.0f} a second one by one, {together:,.0f} together", flush=True)


def _tell_idle(folder: Path, settings: Settings, transport: str, flags: dict[str, str]) -> None:
    """Print an idle worker's CPU, and how long one message takes to a thread of it."""
    with redis_py.Redis.from_url(_url(settings)) as client, _app(settings) as app:
        client.flushall()
        with _worker(folder, settings, flags | {"TRICKLE_HOLLOW": "1"}) as worker:
            process = psutil.Process(worker.process.pid)
            cpu = _cpu(process)
            time.sleep(IDLE_SECONDS)
            idle = (_cpu(process) - cpu) / IDLE_SECONDS
            waits = []
            for at in range(40):
                time.sleep(0.1 + at % 7 * 0.03)
                announce(app, COLLECTION, ["one"])
                begun = time.perf_counter()
                while client.exists("headrace.live", "headrace.bulk", "unacked"):
                    pass
                waits.append((time.perf_counter() - begun) * 1e3)
    print(
        f"idle, transport of {transport}: {idle:.2%} of a core; a lone message is begun after "
        f"{statistics.median(waits):.1f} ms (worst of 40: {max(waits):.1f})",
        flush=True,
    )


def _tell(what: str, costs: Sequence[Cost]) -> None:
    speed = statistics.median(cost.chunks_a_second for cost in costs)
    cpu = statistics.median(cost.cpu_us_a_chunk for cost in costs)
    print(f"{what}: {speed:,.0f} chunks/s, {cpu:,.0f} us of CPU a chunk", flush=True)


@contextlib.contextmanager
def _app(settings: Settings) -> Iterator[Celery]:
    app = make_app(settings)
    yield app
    app.close()


def _worker(
    folder: Path, settings: Settings, flags: dict[str, str]
) -> contextlib.AbstractContextManager[WorkerProgram]:
    variables = {**environment(folder), **settings.environment(), **flags}
    return worker_program(folder, variables, app="benchmarks.rig.trickle_worker")


def _url(settings: Settings) -> str:
    assert settings.redis_url is not None  # noqa: S101 - it was given
    return settings.redis_url.get_secret_value()


def _unfinished(settings: Settings) -> int:
    with redis_py.Redis.from_url(_url(settings)) as client:
        found: bytes | None = client.hget(Keys(COLLECTION).totals, "batches")
        return int(found or 0)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    sys.exit(main())
