"""Promises of ``headrace exporter``: what it shows is what there is, whatever was killed."""

import math
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.servers.command import Command, until
from tests.servers.contents import Servers, chunks_of
from tests.servers.endpoint import FakeEndpoint
from tests.servers.library import write_library
from tests.servers.milvus import milvus_lite
from tests.servers.redis import RedisServer, free_port, redis_tcp_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MARKER = "REFUSE-ME"
COLLECTION = "stacks"


@dataclass
class Site:
    """Servers, a worker, an exporter, and commands that use them."""

    folder: Path
    redis: RedisServer
    servers: Servers
    command: Command
    port: int

    def value(self, name: str, **labels: str) -> float:
        """Read one sample; not a number when there is none."""
        url = f"http://127.0.0.1:{self.port}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                body = reply.read().decode()
        except (urllib.error.URLError, ConnectionError):
            return math.nan
        for family in text_string_to_metric_families(body):
            for sample in family.samples:
                if sample.name == f"headrace_{name}" and sample.labels == labels:
                    return float(sample.value)
        return math.nan

    def of_source(self, name: str, source: str, **labels: str) -> float:
        """Read one sample of a source."""
        return self.value(name, collection=COLLECTION, source=source, **labels)

    def wait(self, expected: float, name: str, **labels: str) -> None:
        """Wait until a sample has a value."""
        until(lambda: self.value(name, **labels) == expected, f"{name}{labels} == {expected}")

    def wait_source(self, expected: float, name: str, source: str, **labels: str) -> None:
        """Wait until a sample of a source has a value."""
        self.wait(expected, name, collection=COLLECTION, source=source, **labels)


@pytest.fixture
def site(tmp_path: Path, endpoint: FakeEndpoint) -> Iterator[Site]:
    """Run servers, a worker and an exporter."""
    with (
        redis_tcp_server(tmp_path, appendonly=True, appendfsync="always") as redis,
        milvus_lite(tmp_path / "milvus") as milvus,
    ):
        command = Command(
            tmp_path,
            redis_url=redis.url,
            milvus_uri=milvus.uri,
            collection=COLLECTION,
            embedding_provider="openai",
            embedding_base_url=endpoint.url,
            embedding_dimensions=384,
            embedding_api_key="no-key",
            embedding_price=2.0,
            batch_max_chunks=16,
            redis_timeout_seconds=2.0,
        )
        port = free_port()
        servers = Servers(redis.url, milvus.uri)
        with (
            command.started("worker"),
            command.started("exporter", "--port", str(port)),
        ):
            yield Site(tmp_path, redis, servers, command, port)


def test_what_it_shows_is_what_there_is(site: Site, endpoint: FakeEndpoint) -> None:
    """After an import, a dead letter, a deletion and a watch; and while Redis is away."""
    folder = site.folder / "docs"
    write_library(folder, 30, 900)
    bad = folder / "bad.md"
    bad.write_text(f"# Bad\n\nHere it says {MARKER}.\n")
    size = sum(path.stat().st_size for path in folder.rglob("*.md"))
    endpoint.faults(refuse_marker=MARKER)
    (summary,) = site.command.run("import", folder, "--json").expect(1).json
    good = chunks_of(folder)
    rows = len(site.servers.rows(COLLECTION))
    site.wait_source(30, "source_documents_total", "docs", outcome="committed")
    assert site.of_source("source_documents_total", "docs", outcome="failed") == 1
    assert site.of_source("source_documents", "docs") == len(good) == 31
    assert site.of_source("source_chunks_total", "docs") == rows == sum(good.values()) - 1
    assert site.of_source("source_bytes_total", "docs") == size
    tokens = site.of_source("source_tokens_total", "docs")
    assert tokens == summary["tokens"] == site.value("tokens_today")
    assert site.value("cost_today_dollars") == pytest.approx(tokens * 2 / 1e6, abs=1e-6)
    assert site.value("dead_letters", reason="EmbeddingRefusedError") == 1
    assert site.value("dead_letters_total", reason="EmbeddingRefusedError") == 1
    assert site.value("unfinished_batches", lane="bulk", state="waiting") == 0
    assert site.value("workers_present", kind="worker") == 1
    assert site.of_source("source_age_seconds", "docs") < 60
    _delete_and_mend(site, folder, bad)
    _watch(site, folder)
    _lose_redis(site)


def _delete_and_mend(site: Site, folder: Path, bad: Path) -> None:
    """A document goes, and another one is well again."""
    next(folder.rglob("book-*.md")).unlink()
    bad.write_text("# Mended\n\nNow it can be read.\n")
    site.command.run("import", folder).expect(0)
    site.wait(0, "dead_letters", reason="EmbeddingRefusedError")
    site.wait_source(30, "source_documents", "docs")
    assert site.value("dead_letters_total", reason="EmbeddingRefusedError") == 1
    assert site.of_source("source_deletes_total", "docs") == 1
    assert site.of_source("source_documents_total", "docs", outcome="committed") == 32
    assert site.of_source("source_documents_total", "docs", outcome="unchanged") == 29
    _look_anew(site)


def _look_anew(site: Site) -> None:
    """Another exporter begins with a look into Milvus, and shows the same of all else."""
    other = replace(site, port=free_port())
    with site.command.started("exporter", "--port", str(other.port)):
        rows = len(site.servers.rows(COLLECTION))
        other.wait(rows, "milvus_rows", collection=COLLECTION)
        until(lambda: other.value("drift_documents_checked_total") == 30, "a look for drift")
        for kind in ("missing_rows", "stale_rows", "extra_rows"):
            assert other.value("drift_documents_total", kind=kind) == 0
        assert other.value("milvus_up") == 1
        assert other.of_source("source_documents_total", "docs", outcome="committed") == 32


def _watch(site: Site, folder: Path) -> None:
    """What a watch brings counts while it runs, and its source is known up to now."""
    with site.command.started("watch", folder):
        site.wait(1, "active_jobs", state="watching")
        (folder / "new.md").write_text("# New\n\nIt came while someone watched.\n")
        site.wait_source(33, "source_documents_total", "docs", outcome="committed")
        site.wait_source(31, "source_documents", "docs")
        assert site.of_source("job_documents", "docs", state="settled") == 1
        assert site.of_source("source_age_seconds", "docs") < 15
    site.wait(0, "active_jobs", state="watching")


def _lose_redis(site: Site) -> None:
    """Redis is stopped and comes back: gauges stay, and counters go on where they were."""
    committed = site.of_source("source_documents_total", "docs", outcome="committed")
    site.redis.stop()
    site.wait(0, "redis_up")
    assert site.of_source("source_documents_total", "docs", outcome="committed") == committed
    site.redis.start()
    site.wait(1, "redis_up")
    assert site.of_source("source_documents_total", "docs", outcome="committed") == committed


def test_counters_are_exact_when_an_import_is_killed(site: Site, endpoint: FakeEndpoint) -> None:
    """Killed twice in the middle and run again, each document was committed once."""
    folder = site.folder / "many"
    write_library(folder, 300, 900)
    endpoint.faults(latency_seconds=0.2)
    for killed_at in (20, 100):
        with site.command.started("import", folder) as importing:
            until(lambda: _committed(site) >= killed_at or not importing.runs, "progress", 60)  # noqa: B023
            importing.send(signal.SIGKILL)
            importing.wait()
    endpoint.faults(latency_seconds=0.0)
    site.command.run("import", folder).expect(0)
    site.wait_source(300, "source_documents_total", "many", outcome="committed")
    expected = chunks_of(folder)
    site.servers.assert_holds(COLLECTION, expected)
    superseded = site.of_source("source_documents_total", "many", outcome="superseded")
    assert site.of_source("source_documents", "many") == 300
    assert site.of_source("source_chunks_total", "many") >= sum(expected.values())
    assert superseded >= 0
    assert site.value("unfinished_chunks") == 0


def _committed(site: Site) -> float:
    return site.of_source("source_documents_total", "many", outcome="committed")
