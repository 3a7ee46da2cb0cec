"""Tests of ``headrace bench``, with real servers, workers and Ctrl-C."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest
from pymilvus import MilvusClient
from redis import Redis

from headrace.local.servers import LocalServers
from tests.servers.redis import free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = "from headrace.cli.main import main; main()"
LIMITS = (
    *("limits", "--documents", "12", "--rounds", "1", "--in-flight", "1", "--dimensions", "16"),
)
SEED = (
    *("seed", "--count", "2", "--count", "3", "--rounds", "1", "--stored", "4"),
    *("--latency-ms", "1", "--dimensions", "16"),
)
DEADLINE_SECONDS = 100.0


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Give a folder for temporary files with so short a path that sockets fit into it."""
    with TemporaryDirectory(prefix="bench") as folder:
        yield Path(folder)


@contextmanager
def bench(scratch: Path, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``headrace bench`` with a place of its own for temporary files."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "bench", *arguments],
        cwd=scratch,
        env={
            **os.environ,
            **variables,
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(scratch),
            "HEADRACE_BATCH_MAX_CHUNKS": "32",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.communicate(timeout=DEADLINE_SECONDS)


def ours(scratch: Path) -> list[int]:
    """Find processes that know this test's folder by command line, environment or place."""
    found = []
    for process in psutil.process_iter():
        try:
            told = [*process.cmdline(), *process.environ().values(), process.cwd()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(scratch) in item for item in told):
            found.append(process.pid)
    return found


def check_figures(figures: dict[str, Any]) -> None:
    """Require the shape of the JSON, and figures that can be true."""
    chunks = figures["chunks"]
    assert figures["documents"] == 12
    assert 120 <= chunks <= 360
    assert set(figures["variants"]) == {"embed", "write", "bare", "import"}
    (runs,) = figures["rounds"]
    for name, summary in figures["variants"].items():
        assert runs[name]["chunks"] == chunks
        assert summary["chunks_per_second"]["median"] > 0
        assert summary["cpu_microseconds_per_chunk"]["median"] > 0
        assert summary["start_cpu_seconds"]["median"] > 0
        assert summary["server_cpu_microseconds_per_chunk"]["endpoint"]["median"] >= 0
    by = figures["variants"]["import"]["cpu_microseconds_per_chunk_by"]
    assert by["workers"]["median"] > 0
    assert set(figures["import_to_bare"]) == {"chunks_per_second", "cpu_per_chunk"}


def test_limits_with_embedded_servers(scratch: Path) -> None:
    """It prints one JSON value, exits with 0, and leaves no file and no process behind."""
    with bench(scratch, *LIMITS, "--json") as process:
        printed, said = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, said.decode()
    figures = json.loads(printed)
    check_figures(figures)
    assert figures["servers"] == "embedded"
    assert set(figures["start_seconds"]) == {"servers", "preparation"}
    assert list(scratch.iterdir()) == []
    assert ours(scratch) == []


def test_limits_with_configured_servers(scratch: Path, tmp_path: Path) -> None:
    """On servers of the user it starts workers itself, and drops what it made there."""
    with LocalServers(tmp_path) as servers:
        variables = {
            "HEADRACE_REDIS_URL": servers.redis_url,
            "HEADRACE_MILVUS_URI": servers.milvus_uri,
        }
        with bench(scratch, *LIMITS, "--json", **variables) as process:
            printed, said = process.communicate(timeout=DEADLINE_SECONDS)
        assert process.returncode == 0, said.decode()
        check_figures(json.loads(printed))
        client = MilvusClient(servers.milvus_uri)
        assert client.list_collections() == []
        client.close()
        with Redis.from_url(servers.redis_url) as redis:
            # The sweeper's lock ends by itself, within seconds.
            left = {key.decode() for key in redis.keys("*") if redis.ttl(key) == -1}
        assert [key for key in left if "headrace_bench" in key] == []
        assert [key for key in left if not key.startswith("_kombu.binding")] == []
    assert list(scratch.iterdir()) == []
    assert ours(scratch) == []


def test_seed_with_embedded_servers(scratch: Path) -> None:
    """It prints one JSON value, exits with 0, and leaves no file and no process behind."""
    with bench(scratch, *SEED, "--json") as process:
        printed, said = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, said.decode()
    figures = json.loads(printed)
    cells = {(row["operation"], row["count"], row["way"]) for row in figures["rows"]}
    ways = ("sync loop", "asyncio.gather", "headrace")
    operations = ("add", "upsert", "search", "delete")
    assert cells == set(itertools.product(operations, (2, 3), ways))
    assert all(row["seconds"] > 0 for row in figures["rows"])
    assert figures["command"] == (
        "headrace bench seed --rounds 1 --count 2 --count 3 --stored 4 "
        "--latency-ms 1 --dimensions 16"
    )
    assert figures["server"]["milvus"] == "embedded"
    assert figures["server"]["version"]
    assert figures["machine"]["cores"] == os.cpu_count()
    assert list(scratch.iterdir()) == []
    assert ours(scratch) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--latency-ms", "1", "--base-url", "http://x/v1", "--model", "m"), "--latency-ms"),
        (("--base-url", "http://x/v1"), "--model"),
        (("--model", "m"), "--base-url"),
        (("--base-url", "here", "--model", "m"), "http://"),
        (("--count", "0"), "--count"),
    ],
)
def test_wrong_use_of_seed_is_told_at_once(
    scratch: Path, arguments: tuple[str, ...], said: str
) -> None:
    """What has no effect, or can't be, ends with 2 and a hint, before a server is started."""
    with bench(scratch, "seed", *arguments) as process:
        printed, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 2
    assert printed == b""
    assert said in errors.decode()
    assert "Traceback" not in errors.decode()
    assert "embedded" not in errors.decode()


@pytest.mark.parametrize("server", ["HEADRACE_MILVUS_URI", "--base-url"])
def test_seed_tells_which_server_is_away(scratch: Path, server: str, milvus_lite_uri: str) -> None:
    """A server that does not answer ends it with 3 and the server's address."""
    away = f"http://127.0.0.1:{free_port()}"
    endpoint = ("--base-url", away, "--model", "m") if server == "--base-url" else ()
    milvus = milvus_lite_uri if endpoint else away
    with bench(scratch, "seed", *endpoint, HEADRACE_MILVUS_URI=milvus) as process:
        printed, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 3, errors.decode()
    assert printed == b""
    assert away in errors.decode()
    assert "Traceback" not in errors.decode()
    client = MilvusClient(milvus_lite_uri)
    assert [name for name in client.list_collections() if "bench" in name] == []
    client.close()


@pytest.mark.parametrize("word", ["warming up", "round 1 of 30: 10 operations"])
def test_ctrl_c_drops_the_collections_of_seed(
    scratch: Path, word: str, milvus_lite_uri: str
) -> None:
    """Stopped in the middle, it leaves the user's server as it was, and exits with 4."""
    more = ("--rounds", "30", "--stored", "5")
    with bench(scratch, "seed", *more, HEADRACE_MILVUS_URI=milvus_lite_uri) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if word in line.decode():
                break
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 4, said.decode()
    assert printed == b""
    assert "Traceback" not in said.decode()
    client = MilvusClient(milvus_lite_uri)
    assert [name for name in client.list_collections() if "bench" in name] == []
    client.close()
    assert list(scratch.iterdir()) == []
    assert ours(scratch) == []


@pytest.mark.parametrize("word", ["round 1 of 1: write", "round 1 of 1: import"])
def test_ctrl_c_leaves_nothing_behind(scratch: Path, word: str) -> None:
    """Stopped in the middle, it ends its servers, runs and workers, and exits with 4."""
    with bench(scratch, *LIMITS) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if word in line.decode():
                break
        # Long enough for the run's own processes to be there.
        deadline = time.monotonic() + DEADLINE_SECONDS
        while len(ours(scratch)) < 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 4
    assert list(scratch.iterdir()) == []
    assert ours(scratch) == []
