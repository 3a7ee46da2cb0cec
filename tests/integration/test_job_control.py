"""Promises of pausing, resuming and cancelling an import from another terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from contract.names import Keys
from headrace.local.servers import attach
from tests.servers.command import Command, Running, until
from tests.servers.contents import Servers, chunks_of
from tests.servers.endpoint import FakeEndpoint
from tests.servers.library import write_library
from tests.servers.milvus import milvus_lite
from tests.servers.redis import redis_tcp_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DOCUMENTS = 40
KEYS = Keys("documents")
HALT_SECONDS = 2.0


@dataclass
class Site:
    """Servers by URL, with two workers and an import that runs."""

    command: Command
    servers: Servers
    redis: Redis
    importing: Running
    docs: Path

    @property
    def job(self) -> str:
        """The newest job."""
        return str(self.redis.zrange(KEYS.jobs, -1, -1)[0])

    def halt(self) -> str:
        """How it is halted."""
        return str(self.redis.hget(KEYS.job(self.job), "halt") or "")

    def counter(self, name: str) -> int:
        """Read one of its counters."""
        return int(self.redis.hget(KEYS.job(self.job), name) or 0)

    def leased(self) -> int:
        """Count batches in the hands of workers."""
        return int(self.redis.zcard(KEYS.leased))

    def unfinished(self) -> int:
        """Count batches that are not through."""
        return int(self.redis.hget(KEYS.totals, "batches") or 0)

    def seconds_after_halt(self, halt: str, condition: Callable[[], bool]) -> float:
        """Measure from the moment when the job is halted until a condition holds."""
        until(lambda: self.halt() == halt, f"the job to be {halt}", 60)
        begun = time.monotonic()
        until(condition, f"what follows from {halt}", 60)
        return time.monotonic() - begun

    def assert_at_rest(self) -> None:
        """Fail unless Milvus holds the rows of committed documents, and nothing is pending."""
        assert set(self.servers.rows("documents")) == self.servers.committed("documents")
        assert self.unfinished() == self.leased() == 0
        assert not self.redis.zcard(KEYS.waiting)
        assert not self.redis.exists(KEYS.open(self.job), KEYS.parked(self.job), KEYS.cancelled)

    def assert_next_import_completes(self, endpoint: FakeEndpoint) -> None:
        """Fail unless the same import, again, brings in all that is missing."""
        endpoint.reset()
        self.command.run("import", "docs").expect(0)
        self.servers.assert_holds("documents", chunks_of(self.docs))


@pytest.fixture
def site(tmp_path: Path, endpoint: FakeEndpoint) -> Iterator[Site]:
    """Give a running import, with some of its documents through and many batches in flight."""
    write_library(tmp_path / "docs", DOCUMENTS, 4_000)
    with (
        redis_tcp_server(tmp_path, appendonly=True) as server,
        milvus_lite(tmp_path / "milvus") as milvus,
        Redis.from_url(server.url, decode_responses=True) as redis,
        ExitStack() as stack,
    ):
        command = Command(
            tmp_path,
            redis_url=server.url,
            milvus_uri=milvus.uri,
            embedding_provider="openai",
            embedding_base_url=endpoint.url,
            embedding_dimensions=384,
            embedding_api_key="no-key",
            batch_max_chunks=4,
            worker_concurrency=4,
        )
        endpoint.faults(latency_seconds=0.3)
        workers = [stack.enter_context(command.started("worker")) for _ in range(2)]
        importing = stack.enter_context(command.started("import", "docs", "--json"))
        site = Site(command, Servers(server.url, milvus.uri), redis, importing, tmp_path / "docs")
        until(lambda: bool(redis.zcard(KEYS.jobs)), "the job", 60)
        until(lambda: site.counter("documents_committed") >= 5, "the first documents", 60)
        endpoint.faults(latency_seconds=5.0)
        until(lambda: site.leased() == 8, "all hands to be full", 60)
        yield site
        assert all(worker.runs for worker in workers)


def test_a_pause_takes_two_seconds_and_ends_when_it_is_told(
    site: Site, endpoint: FakeEndpoint
) -> None:
    """However slow the endpoint is, nothing is in flight soon; resumed, all of it is done."""
    with site.command.started("jobs", "pause", site.job) as pausing:
        assert site.seconds_after_halt("paused", lambda: site.leased() == 0) < HALT_SECONDS
        assert "paused" in pausing.wait().expect(0).out
    shown = site.command.run("jobs", "show", site.job, "--json").expect(0).json
    assert shown["state"] == "paused"
    endpoint.reset()
    committed = site.counter("documents_committed")
    time.sleep(4)  # two rounds of the sweeper
    assert site.counter("documents_committed") == committed
    assert site.leased() == 0
    assert site.importing.runs
    site.command.run("jobs", "resume", site.job).expect(0)
    (summary,) = site.importing.wait(120).expect(0).json
    assert summary["new"] == DOCUMENTS
    site.servers.assert_holds("documents", chunks_of(site.docs))
    site.assert_at_rest()
    for name in ("committed", "new"):
        assert site.counter(f"documents_{name}") == DOCUMENTS
    assert site.counter("batches_finished") == site.counter("batches_published")


def test_a_cancel_takes_two_seconds_and_leaves_nothing_half_done(
    site: Site, endpoint: FakeEndpoint
) -> None:
    """What was through stays, the rest is as before, and the next import completes it."""

    def cleared() -> bool:
        return not site.redis.exists(KEYS.cancelled) and site.unfinished() == 0

    with site.command.started("jobs", "cancel", site.job) as cancelling:
        seconds = site.seconds_after_halt("cancelled", cleared)
        ended = cancelling.wait().expect(0)
    assert seconds < HALT_SECONDS
    cancelled = site.counter("documents_cancelled")
    assert f"cancelled: {cancelled} documents not imported keep their old version" in ended.out
    site.importing.wait(30).expect(4)
    site.assert_at_rest()
    committed = site.counter("documents_committed")
    assert 5 <= committed < DOCUMENTS
    promised = site.counter("documents_new")
    assert cancelled + committed == promised
    again = site.command.run("jobs", "cancel", site.job, "--json").expect(0).json
    assert (again["state"], again["counts"]["documents_cancelled"]) == ("cancelled", cancelled)
    site.assert_next_import_completes(endpoint)


def test_a_cancel_that_is_killed_is_completed_by_the_workers(
    site: Site, endpoint: FakeEndpoint
) -> None:
    """After kill -9 right after the halt, within seconds it is as if nobody had been killed."""
    with site.command.started("jobs", "cancel", site.job) as cancelling:
        until(lambda: site.halt() == "cancelled", "the halt", 60)
        cancelling.kill()
    until(lambda: not site.redis.exists(KEYS.cancelled), "the janitor", 30)
    site.importing.wait(30).expect(4)
    until(lambda: site.unfinished() == 0, "what was in flight", 10)
    site.assert_at_rest()
    site.assert_next_import_completes(endpoint)


def test_a_local_import_is_cancelled_from_another_terminal(
    tmp_path: Path, endpoint: FakeEndpoint
) -> None:
    """The servers are those of the import; they end with it, and what was through stays."""
    write_library(tmp_path / "docs", DOCUMENTS, 4_000)
    endpoint.faults(latency_seconds=0.5)
    command = Command(
        tmp_path,
        embedding_provider="openai",
        embedding_base_url=endpoint.url,
        embedding_dimensions=384,
        embedding_api_key="no-key",
        batch_max_chunks=4,
        worker_concurrency=2,
    )
    with command.started("import", "docs") as importing:
        until(lambda: attach(tmp_path / ".headrace") is not None, "the servers", 60)
        found = attach(tmp_path / ".headrace")
        assert found is not None
        with Redis.from_url(found.redis_url, decode_responses=True) as redis:
            until(lambda: bool(redis.zcard(KEYS.jobs)), "the job", 60)
            job = str(redis.zrange(KEYS.jobs, -1, -1)[0])
            until(
                lambda: int(redis.hget(KEYS.job(job), "documents_committed") or 0) > 0,
                "the first document",
                60,
            )
        cancelled = command.run("jobs", "cancel", job).expect(0)
        assert "keep their old version" in cancelled.out
        importing.wait(60).expect(4)
    until(lambda: attach(tmp_path / ".headrace") is None, "the servers' end", 30)
    endpoint.reset()
    command.run("import", "docs").expect(0)
    (last, first) = command.run("jobs", "list", "--json").expect(0).json
    assert (last["state"], first["state"]) == ("done", "cancelled")
    assert first["counts"]["documents_cancelled"] > 0
    committed = sum(job["counts"]["documents_committed"] for job in (last, first))
    assert committed == DOCUMENTS
