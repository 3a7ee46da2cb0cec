"""Promises of the embedded servers together, with real servers and real commands."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest
from pymilvus import MilvusClient
from redis import Redis

from contract.errors import TimedOutError, UnreachableError
from headrace.local.folder import DataFolder
from headrace.local.milvus_server import MilvusServer
from headrace.local.redis_server import RedisServer
from headrace.local.server import ServerProcess
from headrace.local.servers import Addresses, LocalServers, Patience, attach

_COMMAND = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from headrace.local.servers import LocalServers, attach
with LocalServers(Path(sys.argv[1])) as servers:
    print(json.dumps(asdict(attach(Path(sys.argv[1])))), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A data folder yet to be made; whatever a failed test left running in it is ended."""
    path = tmp_path / "data"
    yield path
    folder = DataFolder(path)
    for kind in (RedisServer(folder), MilvusServer(folder)):
        process = ServerProcess.search(kind.address_of)
        if process is not None:
            process.stop(kind.address_of, 0.0)


class _Command:
    """Another command that uses the servers until it is told to end."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
        )

    def addresses(self) -> Addresses:
        """Wait until it is up, and give what it found."""
        assert self._process.stdout is not None
        return Addresses(**json.loads(self._process.stdout.readline()))

    def end(self) -> None:
        """Let it leave, and wait for it."""
        self._process.communicate()

    def kill(self) -> None:
        """Kill it with no chance to clean up."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def commands(path: Path) -> Iterator[ExitStack]:
    """Ends the commands that a test started."""
    with ExitStack() as stack:
        yield stack


def _command(path: Path, commands: ExitStack) -> _Command:
    command = _Command(path)
    commands.callback(command.kill)
    return command


def _pids(path: Path) -> list[int]:
    records = [ServerProcess.read(path / "run" / f"{name}.json") for name in ("redis", "milvus")]
    return [record.pid for record in records if record is not None]


def _are_gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 5.0
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < deadline:
        os.sched_yield()
    return not any(psutil.pid_exists(pid) for pid in pids)


def _rows(uri: str) -> list[dict[str, Any]]:
    client = MilvusClient(uri=uri)
    try:
        client.load_collection("texts")
        return list(client.query("texts", filter="id >= 0", output_fields=["id"]))
    finally:
        client.close()


def _add_row(uri: str) -> None:
    client = MilvusClient(uri=uri)
    try:
        client.create_collection("texts", dimension=4)
        client.insert("texts", [{"id": 1, "vector": [0.1, 0.2, 0.3, 0.4]}])
    finally:
        client.close()


def test_servers_of_a_killed_command_are_used_again_with_their_data(
    path: Path, commands: ExitStack
) -> None:
    """``kill -9`` of a command leaves servers that the next one finds, uses and stops."""
    killed = _command(path, commands)
    addresses = killed.addresses()
    with Redis.from_url(addresses.redis_url) as redis:
        redis.set("a", "1")
    _add_row(addresses.milvus_uri)
    pids = _pids(path)
    killed.kill()
    assert attach(path) == addresses
    with LocalServers(path) as servers:
        assert _pids(path) == pids
        assert (servers.redis_url, servers.milvus_uri) == tuple(asdict(addresses).values())
        # Everything that both servers made is closed to others, and nothing faces the network.
        for entry in (path, *path.rglob("*")):
            assert entry.stat().st_mode & 0o077 == 0, entry
        for pid in pids:
            for connection in psutil.Process(pid).net_connections("inet"):
                # gRPC listens by way of IPv6: ::ffff:127.0.0.1.
                assert connection.laddr[0].removeprefix("::ffff:") == "127.0.0.1"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    assert attach(path) is None
    with LocalServers(path) as servers:
        with Redis.from_url(servers.redis_url) as redis:
            assert redis.get("a") == b"1"
        assert _rows(servers.milvus_uri) == [{"id": 1}]
        pids = _pids(path)
    assert _are_gone(pids)
    with LocalServers(path) as servers:
        assert _rows(servers.milvus_uri) == [{"id": 1}]


def test_two_commands_share_and_the_last_one_stops(path: Path, commands: ExitStack) -> None:
    """Started at once in a new folder, both get the same servers, which outlive the first."""
    first, second = _command(path, commands), _command(path, commands)
    addresses = first.addresses()
    assert second.addresses() == addresses
    pids = _pids(path)
    first.end()
    assert attach(path) == addresses
    assert RedisServer(DataFolder(path)).answers(str(path / "run" / "redis.sock"), 5.0)
    second.end()
    assert attach(path) is None
    assert _are_gone(pids)


def test_a_failed_start_stops_what_was_started(path: Path) -> None:
    """When Milvus can't have its data, the error says why and Redis does not stay behind."""
    said: list[str] = []
    DataFolder(path).create()
    with (path / "milvus" / "LOCK").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with (
            pytest.raises(UnreachableError, match=r"(?s)Milvus ended.*another process holds"),
            LocalServers(path, said.append),
        ):
            pytest.fail("entered without Milvus")
    assert "starting the embedded Redis" in said
    assert attach(path) is None
    assert ServerProcess.search(RedisServer(DataFolder(path)).address_of) is None


def test_a_busy_folder_is_an_error_that_names_the_holder(path: Path) -> None:
    """Who can't get at the servers in time learns which process is in the way."""
    folder = DataFolder(path)
    folder.create()
    lock = folder.start_lock()
    lock.exclude(0.0)
    with (
        pytest.raises(TimedOutError, match=f"pid {os.getpid()}"),
        LocalServers(path, patience=Patience(lock_seconds=0.1)),
    ):
        pytest.fail("entered in spite of the lock")
    lock.release()


def test_looking_for_servers_starts_and_makes_nothing(path: Path) -> None:
    """Where nothing runs, attaching says so and leaves no trace."""
    assert attach(path) is None
    assert not path.exists()


def test_addresses_belong_to_the_with_block(path: Path) -> None:
    """Outside of it there is no address to hand out."""
    with pytest.raises(UnreachableError, match="with"):
        _ = LocalServers(path).redis_url
