"""Promises of scheduled runs: real schedulers and producer workers, some of them killed."""

import asyncio
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from redis.asyncio import Redis

from headrace.local.servers import attach
from headrace.schedules.book import Book
from headrace.schedules.run import Run
from tests.servers.command import Command, Running, until
from tests.servers.contents import Servers, chunks_of
from tests.servers.endpoint import FakeEndpoint
from tests.servers.library import write_library
from tests.servers.milvus import milvus_lite
from tests.servers.redis import RedisServer, free_port, redis_tcp_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def runs_of(redis_url: str, name: str) -> list[Run]:
    """Give the runs of a schedule, oldest first."""

    async def read() -> list[Run]:
        async with Redis.from_url(redis_url) as redis:
            return (await Book(redis).runs(name))[::-1]

    return asyncio.run(read())


@dataclass
class Site:
    """Servers by URL, and commands that use them."""

    folder: Path
    redis: RedisServer
    command: Command
    servers: Servers
    stack: ExitStack

    def start(self, *arguments: str) -> Running:
        """Start a process that is ended with the site."""
        return self.stack.enter_context(self.command.started(*arguments))

    def add(self, name: str, path: Path, *options: str) -> None:
        """Add a schedule, for a collection of its own name."""
        self.command.run("schedule", "add", name, str(path), "--collection", name, *options).expect(
            0
        )

    def runs(self, name: str) -> list[Run]:
        """Give the runs of a schedule, oldest first."""
        return runs_of(self.servers.redis_url, name)

    def done(self, name: str) -> list[Run]:
        """Give those that are done."""
        return [run for run in self.runs(name) if run.state == "done"]

    def wait(self, name: str, holds: Callable[[list[Run]], bool], what: str) -> None:
        """Wait until something holds of the runs."""
        until(lambda: holds(self.runs(name)), what, 90)

    def assert_holds(self, name: str, path: Path) -> None:
        """See that a collection has what a folder has, once."""
        self.servers.assert_holds(name, chunks_of(path))


@pytest.fixture
def site(tmp_path: Path, endpoint: FakeEndpoint) -> Iterator[Site]:
    """Run servers, and one worker."""
    with (
        redis_tcp_server(tmp_path, appendonly=True, appendfsync="no") as redis,
        milvus_lite(tmp_path / "milvus") as milvus,
        ExitStack() as stack,
    ):
        command = Command(
            tmp_path,
            redis_url=redis.url,
            milvus_uri=milvus.uri,
            embedding_provider="openai",
            embedding_base_url=endpoint.url,
            embedding_dimensions=384,
            embedding_api_key="no-key",
            batch_max_chunks=16,
        )
        site = Site(tmp_path, redis, command, Servers(redis.url, milvus.uri), stack)
        site.start("worker")
        yield site


def counts(run: Run, *names: str) -> tuple[int, ...]:
    """Give some counters of a run."""
    return tuple(int(run.result.get("counts", {}).get(name, 0)) for name in names)


def free_ports(number: int) -> int:
    """Find ports of 127.0.0.1, one after the other, that nobody listens on; gives the first."""
    while True:
        first = free_port()
        with ExitStack() as stack:
            try:
                for port in range(first, first + number):
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", port))
            except (OSError, OverflowError):
                continue
        return first


def served(port: int) -> dict[str, float]:
    """Read the metrics of a process, by their names and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


def test_one_command_on_a_laptop_runs_declared_schedules(
    tmp_path: Path, endpoint: FakeEndpoint
) -> None:
    """``headrace up`` reads them, runs them, and follows the file; what changes is found soon."""
    write_library(tmp_path / "docs", 4, 2_000)
    file = tmp_path / "headrace.toml"
    file.write_text('[schedules.docs]\npath = "docs"\nevery = "2s"\n')
    port = free_ports(3)
    command = Command(
        tmp_path,
        embedding_provider="openai",
        embedding_base_url=endpoint.url,
        embedding_dimensions=384,
        embedding_api_key="no-key",
        metrics_port=port,
    )

    with command.started("up") as up:
        until(lambda: attach(tmp_path / ".headrace") is not None, "servers", 60)
        servers = attach(tmp_path / ".headrace")
        assert servers is not None

        def runs() -> list[Run]:
            return runs_of(servers.redis_url, "docs")

        until(lambda: sum(run.state == "done" for run in runs()) >= 2, "two runs", 90)
        first = next(run for run in runs() if run.state == "done")
        assert counts(first, "documents_new", "documents_failed") == (4, 0)
        worker, producer, scheduler = (served(port + place) for place in range(3))
        assert worker["headrace_documents_total"] == 4
        assert worker['headrace_probes_total{outcome="visible"}'] >= 1
        assert producer['headrace_runs_total{outcome="done"}'] >= 2
        assert scheduler['headrace_scheduler_fired_total{outcome="waiting"}'] >= 2
        (tmp_path / "docs" / "late.md").write_text("# Late\n\nThe sluice was mended.\n")
        until(
            lambda: any(counts(run, "documents_new") == (1,) for run in runs() if run.finished_ms),
            "the new file",
            60,
        )
        hits = command.run("search", "Late The sluice was mended.", "--json").expect(0).json
        assert any(hit["path"] == "late.md" for hit in hits)
        file.write_text("")
        until(lambda: not runs(), "the schedule to go with the file", 30)
        children = psutil.Process(up.pid).children(recursive=True)
        assert any("headrace.schedules.app" in child.cmdline() for child in children)
        up.send(signal.SIGINT)
        up.wait().expect(0)
        until(lambda: not any(child.is_running() for child in children), "children to end")


def test_a_killed_producer_and_a_killed_scheduler_lose_no_run(
    site: Site, endpoint: FakeEndpoint
) -> None:
    """A run that was cut off is taken up by another process; a standby sees to what is due."""
    docs = site.folder / "docs"
    write_library(docs, 30, 6_000)
    endpoint.faults(latency_seconds=0.5)
    schedulers = [site.start("scheduler") for _ in range(2)]
    first = site.start("producer")
    site.add("docs", docs, "--every", "3s", "--overlap", "queue")
    site.wait("docs", lambda runs: any(run.job for run in runs), "a run under way")
    first.kill()
    schedulers[0].kill()
    site.start("producer")
    endpoint.faults(latency_seconds=0.0)
    site.wait("docs", lambda runs: any(run.crashes == 1 for run in runs), "the run taken up")
    site.wait("docs", lambda runs: sum(run.state == "done" for run in runs) >= 3, "three runs")
    cut_off = next(run for run in site.runs("docs") if run.crashes)
    assert cut_off.state == "done"
    site.assert_holds("docs", docs)
    slots = [run.slot_ms for run in site.runs("docs")]
    assert len(set(slots)) == len(slots), "each slot is dealt with once"
    begun = [run for run in site.runs("docs") if run.started_ms and run.finished_ms]
    for before, after in pairwise(begun):
        assert before.finished_ms <= after.started_ms, "never two at once"
    schedulers[1].kill()


def test_a_producer_that_is_told_to_stop_gives_its_run_to_another(
    site: Site, endpoint: FakeEndpoint
) -> None:
    """A rolling restart is no crash, and takes no lease's time."""
    docs = site.folder / "docs"
    write_library(docs, 20, 6_000)
    endpoint.faults(latency_seconds=0.3)
    site.start("scheduler")
    first = site.start("producer")
    site.add("docs", docs, "--every", "1h")
    asked = site.command.run("schedule", "run", "docs", "--json").expect(0).json
    site.wait("docs", lambda runs: any(run.job for run in runs), "the run under way")
    begun = time.monotonic()
    first.end()
    site.start("producer")
    endpoint.faults(latency_seconds=0.0)
    site.wait("docs", lambda runs: runs[0].state == "done", "the run done elsewhere")
    assert time.monotonic() - begun < 60
    (only,) = site.runs("docs")
    assert (only.id, only.crashes) == (asked["run"], 0)
    site.assert_holds("docs", docs)


@pytest.mark.parametrize("policy", ["skip", "queue", "cancel"])
def test_runs_that_overlap(site: Site, endpoint: FakeEndpoint, policy: str) -> None:
    """A run that takes longer than its interval: what becomes of the next."""
    docs = site.folder / "docs"
    write_library(docs, 10, 6_000)
    endpoint.faults(latency_seconds=4.0)
    site.start("scheduler")
    site.start("producer")
    site.add("docs", docs, "--every", "2s", "--overlap", policy)
    states = {"skip": "skipped", "queue": "queued", "cancel": "cancelled"}
    site.wait(
        "docs",
        lambda runs: any(run.state == states[policy] for run in runs),
        f"a run that is {states[policy]}",
    )
    endpoint.faults(latency_seconds=0.0)
    site.wait("docs", lambda runs: sum(run.state == "done" for run in runs) >= 2, "done runs")
    site.command.run("schedule", "pause", "docs").expect(0)
    site.wait("docs", lambda runs: all(run.finished_ms for run in runs), "rest")
    site.assert_holds("docs", docs)
    begun = [run for run in site.runs("docs") if run.started_ms]
    for before, after in pairwise(begun):
        assert before.finished_ms <= after.started_ms


def test_shards_run_beside_one_another_and_delete_together(site: Site) -> None:
    """What is gone goes once all shards are through; a shard deletes nothing of another's."""
    docs = site.folder / "docs"
    write_library(docs, 40, 3_000)
    site.start("scheduler")
    for _ in range(2):
        site.start("producer")
    site.add("docs", docs, "--every", "1h", "--shards", "4")
    site.command.run("schedule", "run", "docs").expect(0)
    site.wait("docs", lambda runs: len(runs) == 1 and runs[0].finished_ms > 0, "the first run")
    (first,) = site.done("docs")
    assert counts(first, "documents_new", "documents_deleted") == (40, 0)
    site.assert_holds("docs", docs)
    gone = sorted(docs.glob("**/*.md"))[:3]
    for path in gone:
        path.unlink()
    site.command.run("schedule", "run", "docs").expect(0)
    site.wait("docs", lambda runs: len(runs) == 2 and runs[1].finished_ms > 0, "the second run")
    second = site.runs("docs")[1]
    assert second.state == "done", second
    assert counts(second, "documents_unchanged", "documents_deleted") == (37, 3)
    site.assert_holds("docs", docs)


def test_a_run_with_a_budget_stops_and_the_next_goes_on(site: Site) -> None:
    """Each run brings a part, says why it stopped, and in the end everything is there."""
    docs = site.folder / "docs"
    write_library(docs, 12, 3_000)
    site.start("scheduler")
    site.start("producer")
    site.add("docs", docs, "--every", "2s", "--max-tokens", "5000")
    site.wait("docs", lambda runs: any(run.state == "done" for run in runs), "a run that is done")
    site.command.run("schedule", "pause", "docs").expect(0)
    stopped = [run for run in site.runs("docs") if run.state == "stopped"]
    assert stopped
    assert all("--max-tokens 5000" in run.reason for run in stopped)
    site.assert_holds("docs", docs)


def test_a_redis_that_was_away_is_waited_for(site: Site) -> None:
    """Scheduler, producer worker and worker go on by themselves; no slot is dealt with twice."""
    docs = site.folder / "docs"
    write_library(docs, 3, 2_000)
    processes = [site.start("scheduler"), site.start("producer")]
    site.add("docs", docs, "--every", "2s")
    site.wait("docs", lambda runs: any(run.state == "done" for run in runs), "a run")
    site.redis.kill()
    time.sleep(3)  # long enough for the timers' lock to matter
    site.redis.start()
    number = len(site.done("docs"))
    site.wait("docs", lambda _: len(site.done("docs")) >= number + 2, "two runs more")
    assert all(process.runs for process in processes)
    slots = [run.slot_ms for run in site.runs("docs")]
    assert len(set(slots)) == len(slots)
    site.assert_holds("docs", docs)


def test_a_source_that_is_not_there_fails_its_run_and_deletes_nothing(site: Site) -> None:
    """The history says why; the documents stay; once it is back the next run goes on."""
    docs = site.folder / "docs"
    write_library(docs, 3, 2_000)
    site.start("scheduler")
    site.start("producer")
    site.add("docs", docs, "--every", "1h")
    site.command.run("schedule", "run", "docs").expect(0)
    site.wait("docs", lambda runs: runs[-1].state == "done", "the first run")
    expected = chunks_of(docs)
    docs.rename(site.folder / "away")
    site.command.run("schedule", "run", "docs").expect(0)
    site.wait("docs", lambda runs: len(runs) == 2 and runs[1].finished_ms > 0, "the second run")
    failed = site.runs("docs")[1]
    assert failed.state == "failed"
    assert "docs" in failed.reason
    site.servers.assert_holds("docs", expected)
    listed = site.command.run("schedule", "list").expect(0).out
    assert "failed" in listed
    site.command.run("schedule", "remove", "docs").expect(0)
    assert "no schedule" in site.command.run("schedule", "show", "docs").expect(2).err
