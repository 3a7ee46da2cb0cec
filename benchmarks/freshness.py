"""Measures how soon ``headrace watch`` has in the index what changes in a folder.

``python benchmarks/freshness.py --old FOLDER --new FOLDER`` starts a Redis, Milvus Lite, an
endpoint that answers at once, one worker, and the command itself. A file is saved as editors do
it, and searched for until it is found. Then many files are copied at once, and the folder is made
the other snapshot, as a checkout does. With ``--local`` files are saved for the local model, too.
At rest the rows are counted against those of a fresh import.
"""

import argparse
import asyncio
import contextlib
import filecmp
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import redis as redis_py

from contract.names import Keys
from contract.settings import Settings, load_settings
from headrace.checks import flush_collection
from headrace.search import Terms, find
from tests.servers.contents import Servers, chunks_of
from tests.servers.endpoint import fake_endpoint
from tests.servers.library import prose
from tests.servers.milvus import milvus_lite
from tests.servers.redis import redis_server
from tests.servers.worker import environment, worker_program
from worker.embedding.build import make_embedder
from worker.milvus import open_connection, quiet_libraries

SOURCE = "watched"
REST_SECONDS = 0.4
"""Between two saves, so that everything is idle again."""
STILL_SECONDS = 3.0
"""Nothing counts any more for so long: it is at rest."""
LONGEST_SECONDS = 900.0
WARM_UP = 3
"""Saves that are not measured."""


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks/freshness.py")
    parser.add_argument("--old", type=Path, help="the folder as it is at first")
    parser.add_argument("--new", type=Path, help="the same some time later")
    parser.add_argument("--saves", type=int, default=40)
    parser.add_argument("--copies", type=int, default=5_000, help="files that come at once")
    parser.add_argument("--local", action="store_true", help="save for the local model as well")
    options = parser.parse_args()
    quiet_libraries()
    print(f"{'':34} {'p50':>8} {'p95':>8}")
    with Bench(options.old, provider="openai") as bench:
        bench.tell_saves("save one file, endpoint of 0 ms", options.saves)
        bench.tell_bulk(
            f"{options.copies} files copied at once", lambda: bench.copy(options.copies)
        )
        if options.new is not None:
            new = options.new
            bench.tell_bulk("switch to the other snapshot", lambda: bench.switch(new))
    if options.local:
        with Bench(None, provider="local") as bench:
            bench.tell_saves("save one file, local model", options.saves)
    return 0


class Bench:
    """Servers, a worker and a watch over a folder, while the block lasts."""

    def __init__(self, old: Path | None, *, provider: str) -> None:
        """Prepare; nothing is started yet."""
        self._old = old
        self._provider = provider
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start everything, and wait until the first scan is through."""
        with contextlib.ExitStack() as stack:
            base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hr-")))
            self.folder = base / SOURCE
            self._settings = self._start_servers(stack, base)
            if self._old is None:
                self.folder.mkdir()
            else:
                shutil.copytree(self._old, self.folder)
            (self.folder / "note.md").write_text("The first note.")
            self._redis = stack.enter_context(redis_py.Redis.from_url(_url(self._settings)))
            variables = {**environment(base), **self._settings.environment()}
            stack.enter_context(worker_program(base, variables))
            stack.enter_context(_watch(self.folder, base, variables))
            self._job = self._begun()
            self._rest()
            # As a watch on embedded servers does: searches of what is not written out are slow.
            asyncio.run(flush_collection(self._settings, SOURCE))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything."""
        self._stack.close()

    def tell_saves(self, what: str, saves: int) -> None:
        """Save a file again and again, and print how soon each text is found."""
        found = asyncio.run(self._saved(saves))
        p95 = statistics.quantiles(found, n=20)[-1]
        print(f"{what:34} {statistics.median(found) * 1e3:5.0f} ms {p95 * 1e3:5.0f} ms", flush=True)

    def tell_bulk(self, what: str, change: Callable[[], None]) -> None:
        """Change much at once, and print how long it takes until all of it can be found."""
        before = self._counters()
        begun = time.time()
        change()
        changing = time.time() - begun
        self._rest()
        after = self._counters()
        seconds = after["finished_ms"] / 1e3 - begun
        self._verify()
        names = ("documents_new", "documents_changed", "documents_deleted", "chunks_written")
        more = {name: after.get(name, 0) - before.get(name, 0) for name in names}
        told = ", ".join(f"{number} {name}" for name, number in more.items())
        print(f"{what:34} {seconds:6.1f} s   (copying alone {changing:.1f} s; {told})", flush=True)

    def copy(self, files: int) -> None:
        """Copy many small files into the folder."""
        for number in range(files):
            path = self.folder / f"copied-{number % 50}" / f"note-{number}.md"
            path.parent.mkdir(exist_ok=True)
            path.write_text(prose(str(number), 300))

    def switch(self, new: Path) -> None:
        """Make the folder another snapshot, file by file: what is the same is not touched."""
        wanted = {path.relative_to(new) for path in new.rglob("*") if path.is_file()}
        old = self._old or new
        for path in old.rglob("*"):
            if path.is_file() and path.relative_to(old) not in wanted:
                (self.folder / path.relative_to(old)).unlink()
        for key in wanted:
            target = self.folder / key
            if not target.exists() or not filecmp.cmp(new / key, target, shallow=False):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(new / key, target)

    def _start_servers(self, stack: contextlib.ExitStack, base: Path) -> Settings:
        endpoint = stack.enter_context(fake_endpoint())
        server = stack.enter_context(redis_server(base, appendonly=True))
        lite = stack.enter_context(milvus_lite(base / "milvus"))
        model = {
            "embedding_base_url": endpoint.url,
            "embedding_api_key": "none",
            "embedding_dimensions": 384,
        }
        return load_settings(
            {}, base,
            redis_url=server.url, milvus_uri=lite.uri, collection=SOURCE,
            embedding_provider=self._provider, **(model if self._provider == "openai" else {}),
        )  # fmt: skip

    async def _saved(self, saves: int) -> list[float]:
        """Save a file so often, and give the seconds until each text was found."""
        embedder = make_embedder(self._settings)
        connection = open_connection(self._settings)
        seconds = []
        try:
            async with connection.used() as client:
                for number in range(saves + WARM_UP):
                    text = f"Note {number} of the miller, on sluices and {number * 7} sacks."
                    vectors = (await embedder.embed([text])).vectors
                    await asyncio.sleep(REST_SECONDS)
                    begun = time.perf_counter()
                    _save(self.folder / "note.md", text)
                    while True:
                        terms = Terms(SOURCE, limit=1)
                        (hits,) = await find(client, self._settings, vectors, terms)
                        took = time.perf_counter() - begun
                        if hits and hits[0].text == text:
                            break
                        if took > LONGEST_SECONDS:
                            raise TimeoutError(f"{text!r} is not found")
                    if number >= WARM_UP:
                        seconds.append(took)
        finally:
            await connection.aclose()
            await embedder.aclose()
        return seconds

    def _begun(self) -> str:
        deadline = time.monotonic() + LONGEST_SECONDS
        jobs: Any
        while not (jobs := self._redis.zrange(Keys(SOURCE).jobs, 0, -1)):
            if time.monotonic() > deadline:
                raise TimeoutError("the watch does not begin")
            time.sleep(0.1)
        return str(jobs[0].decode())

    def _counters(self) -> dict[str, int]:
        fields: Any = self._redis.hgetall(Keys(SOURCE).job(self._job))
        counted = {name.decode(): value.decode() for name, value in fields.items()}
        return {name: int(value) for name, value in counted.items() if value.isdigit()}

    def _rest(self) -> None:
        """Wait until the watch has looked at everything, and nothing is left to do."""
        deadline = time.monotonic() + LONGEST_SECONDS
        before, since = self._counters(), time.monotonic()
        while time.monotonic() - since < STILL_SECONDS:
            if time.monotonic() > deadline:
                raise TimeoutError("it does not come to rest")
            time.sleep(0.1)
            now = self._counters()
            drained = now.get("batches_published", 0) == now.get("batches_finished", 0)
            now.pop("seen_ms", None)
            if now != before or not drained or not now.get("watching"):
                before, since = now, time.monotonic()

    def _verify(self) -> None:
        settings = self._settings
        servers = Servers(_url(settings), str(settings.milvus_uri))
        servers.assert_holds(SOURCE, chunks_of(self.folder, settings))


def _url(settings: Settings) -> str:
    return settings.redis_url.get_secret_value() if settings.redis_url else ""


def _save(path: Path, text: str) -> None:
    """Save as editors do: a temporary file takes the place of the old one."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    beside.replace(path)


@contextlib.contextmanager
def _watch(folder: Path, base: Path, variables: dict[str, str]) -> Iterator[None]:
    command = "from headrace.cli.main import main; main()"
    with (base / "watch.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-c", command, "watch", os.fspath(folder), "--source", SOURCE],
            env=variables,
            cwd=base,
            stdout=log,
            stderr=log,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


if __name__ == "__main__":
    sys.exit(main())
