"""Measures streams whose producers are killed: how fast they are, and what is lost or doubled.

``python benchmarks/stream.py`` starts a Redis, Milvus Lite, an endpoint that answers at once and
one worker. Small documents, each fifth with a vector of its own, are brought in by ``headrace
stdin`` and by ``headrace stream``: first undisturbed, then with the producer killed (-9) at even
shares of the documents and started again. What Milvus holds in the end is compared with what it
should hold.
"""

import argparse
import contextlib
import itertools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from redis import Redis

from contract.names import Keys
from contract.settings import load_settings
from tests.servers.command import Command, Running
from tests.servers.contents import Servers
from tests.servers.endpoint import fake_endpoint
from tests.servers.milvus import milvus_lite
from tests.servers.redis import redis_server
from tests.servers.spring import DIMENSION, chunks, document, entries, lines
from tests.servers.worker import environment, worker_program

KEY = "channel"
LONGEST_SECONDS = 1800.0
POLL_SECONDS = 0.05
TOGETHER = 1_000


@dataclass(frozen=True, slots=True)
class Course:
    """How one way went."""

    seconds: float
    kills: int
    lost: int
    doubled: int

    def line(self, way: str, documents: int) -> str:
        """Write a line of the table."""
        return (
            f"{way:<10}{documents / self.seconds:>12,.0f}{self.kills:>8}{self.lost:>8}"
            f"{self.doubled:>9}"
        )


class Bench:
    """The servers, and the ways to bring documents in."""

    def __init__(self, command: Command, redis: Redis, servers: Servers, documents: int) -> None:
        """Use servers that run, and a command that knows them."""
        self._command = command
        self._redis = redis
        self._servers = servers
        self._documents = documents

    def pour(self, collection: str, kills: int) -> Course:
        """Bring all documents in by standard input, from the beginning after each kill."""
        with tempfile.TemporaryFile() as file:
            file.write(lines(document(number) for number in range(self._documents)))
            file.flush()
            return self._run(collection, kills, ["stdin", "--source", KEY], file)

    def flow(self, collection: str, kills: int) -> Course:
        """Bring all documents in from a stream, which goes on after each kill."""
        made = entries(document(number) for number in range(self._documents))
        for _ in range(0, self._documents, TOGETHER):
            pipe = self._redis.pipeline(transaction=False)
            for fields in itertools.islice(made, TOGETHER):
                pipe.xadd(KEY, fields)  # type: ignore[arg-type]
            pipe.execute()
        course = self._run(collection, kills, ["stream", KEY, "--once"], None)
        self._redis.delete(KEY)
        return course

    def _run(
        self, collection: str, kills: int, arguments: list[str], file: IO[bytes] | None
    ) -> Course:
        command = self._command.with_settings(collection=collection)
        begun = time.monotonic()
        for kill in range(1, kills + 1):
            share = kill * self._documents // (kills + 1)
            with _rewound(command, arguments, file) as running:
                _wait(lambda share=share: self._known(collection) >= share)  # type: ignore[misc]
                running.kill()
                running.wait()
        with _rewound(command, arguments, file) as running:
            running.wait(LONGEST_SECONDS).expect(0)
        keys = Keys(collection)
        # With --once a stream's last entries may have been another job's.
        _wait(lambda: self._redis.hget(keys.totals, "batches") == b"0")
        seconds = time.monotonic() - begun
        held = Counter(row.partition(":")[0] for row in self._servers.rows(collection))
        expected = Counter(chunks(KEY, range(self._documents)))
        return Course(seconds, kills, (expected - held).total(), (held - expected).total())

    def _known(self, collection: str) -> int:
        return int(self._redis.zcard(Keys(collection).source(KEY)))


def _rewound(
    command: Command, arguments: list[str], file: IO[bytes] | None
) -> contextlib.AbstractContextManager[Running]:
    if file is not None:
        file.seek(0)
    return command.started(*arguments, stdin=file)


def _wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("it never came true")
        time.sleep(POLL_SECONDS)


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks/stream.py")
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--kills", type=int, default=3)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hr-")))
        server = stack.enter_context(redis_server(folder, appendonly=True))
        endpoint = stack.enter_context(fake_endpoint(dimensions=DIMENSION))
        lite = stack.enter_context(milvus_lite(folder / "milvus"))
        redis = stack.enter_context(Redis.from_url(server.url))
        given = {
            "redis_url": server.url,
            "milvus_uri": lite.uri,
            "embedding_provider": "openai",
            "embedding_base_url": endpoint.url,
            "embedding_dimensions": DIMENSION,
            "embedding_api_key": "no-key",
        }
        settings = load_settings({}, folder, **given)
        variables = {**environment(folder), **settings.environment()}
        stack.enter_context(worker_program(folder, variables))
        servers = Servers(server.url, lite.uri)
        bench = Bench(Command(folder, **given), redis, servers, options.documents)
        print(f"{'':<10}{'documents/s':>12}{'kills':>8}{'lost':>8}{'doubled':>9}")
        failed = 0
        for kills in (0, options.kills):
            for way, run in (("stdin", bench.pour), ("stream", bench.flow)):
                course = run(f"{way}_{kills}", kills)
                print(course.line(way, options.documents), flush=True)
                failed += course.lost + course.doubled
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
