"""Measures whether memory and speed stay the same over a very large import.

``python benchmarks/million.py`` writes documents of its own, starts a Redis, a Milvus, an endpoint
that answers at once and one worker, and imports them all with small vectors. At a tenth, a half and
all of the chunks it prints the resident memory of the producer (with its processes) and the worker,
what Redis holds, how many batches are unfinished, and the chunks a second since the line before.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from redis import Redis

from contract.names import Keys
from contract.settings import Settings, load_settings
from headrace.bench.corpus import write_documents
from tests.servers.command import Command, Running
from tests.servers.endpoint import fake_endpoint
from tests.servers.milvus import milvus_lite, milvus_server
from tests.servers.redis import redis_server
from tests.servers.worker import WorkerProgram, environment, worker_program

COLLECTION = "million"
CHUNKS_OF_A_DOCUMENT = 95
"""About so many of 200 characters."""
SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
LOOK_SECONDS = 0.25
LONGEST_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """What is held at one moment, in bytes, and how far the import is."""

    chunks: int
    producer: int
    worker: int
    redis: int
    unfinished: int
    """Batches."""


def main() -> int:
    """Import, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks/million.py")
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--milvus", choices=("lite", "server"), default="lite")
    parser.add_argument("--dimensions", type=int, default=8)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hr-")))
        write_documents(folder / "source", -(-options.chunks // CHUNKS_OF_A_DOCUMENT))
        server = stack.enter_context(redis_server(folder, appendonly=True))
        endpoint = stack.enter_context(fake_endpoint(dimensions=options.dimensions))
        inside = folder / "milvus"
        inside.mkdir()
        if options.milvus == "lite":
            milvus_uri = stack.enter_context(milvus_lite(inside)).uri
        else:
            milvus_uri = stack.enter_context(milvus_server(inside))
        settings = load_settings(
            {},
            folder,
            redis_url=server.url,
            milvus_uri=milvus_uri,
            collection=COLLECTION,
            embedding_provider="openai",
            embedding_base_url=endpoint.url,
            embedding_dimensions=options.dimensions,
            chunk_unit="characters",
            chunk_size=200,
            chunk_overlap=0,
        )
        variables = {**environment(folder), **settings.environment()}
        worker = stack.enter_context(worker_program(folder, variables))
        given = {
            name: value for name, value in settings.model_dump(mode="json").items() if value
        } | {"redis_url": server.url}
        command = Command(folder, **given)
        with command.started("import", folder / "source", "--json") as importing:
            _watch(settings, importing, worker, options.chunks)
            ended = importing.wait(LONGEST_SECONDS).expect(0)
        print(f"{ended.json[0]['chunks']:,} chunks in {ended.seconds:.0f} s")
    return 0


def _watch(settings: Settings, importing: Running, worker: WorkerProgram, chunks: int) -> None:
    """Print a line at each share of the chunks."""
    print(f"{'chunks':>10}{'producer':>11}{'worker':>9}{'Redis':>8} MiB{'unfinished':>12}{'/s':>8}")
    before, at = 0, time.monotonic()
    shares = [share * chunks for share in SHARES]
    for sizes in _sizes(settings, importing, worker):
        if shares and sizes.chunks >= shares[0]:
            shares.pop(0)
            now = time.monotonic()
            print(
                f"{sizes.chunks:>10,}{sizes.producer >> 20:>11,}{sizes.worker >> 20:>9,}"
                f"{sizes.redis >> 20:>8,}{sizes.unfinished:>16,}"
                f"{(sizes.chunks - before) / (now - at):>8,.0f}",
                flush=True,
            )
            before, at = sizes.chunks, now


def _sizes(settings: Settings, importing: Running, worker: WorkerProgram) -> Iterator[Sizes]:
    """Look again and again, until the import ends."""
    assert settings.redis_url is not None  # noqa: S101 - it was given
    keys = Keys(COLLECTION)
    working = psutil.Process(worker.process.pid)
    with Redis.from_url(settings.redis_url.get_secret_value()) as redis:
        while importing.runs:
            time.sleep(LOOK_SECONDS)
            jobs = redis.zrange(keys.jobs, 0, 0)
            if not jobs:
                continue
            written = redis.hget(keys.job(jobs[0].decode()), "chunks_written")
            try:
                producing = psutil.Process(importing.pid)
                family = [producing, *producing.children(recursive=True)]
                producer = sum(process.memory_info().rss for process in family)
            except psutil.NoSuchProcess:
                continue
            yield Sizes(
                chunks=int(written or 0),
                producer=producer,
                worker=working.memory_info().rss,
                redis=int(redis.info("memory")["used_memory"]),
                unfinished=int(redis.hget(keys.totals, "batches") or 0),
            )


if __name__ == "__main__":
    sys.exit(main())
