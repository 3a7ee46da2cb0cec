"""Promises of the embedded Redis: found, replaced, refused, and its data kept."""

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from redis import Redis

from contract.errors import UnreachableError
from headrace.local.embedded import EmbeddedServer
from headrace.local.folder import DataFolder
from headrace.local.redis_server import RedisServer
from headrace.local.server import ServerProcess
from tests.servers.freezing import freeze, thaw

_Open = Callable[[], EmbeddedServer]


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """A fresh data folder."""
    folder = DataFolder(tmp_path / "data")
    folder.create()
    return folder


@pytest.fixture
def said() -> list[str]:
    """What the servers told the user."""
    return []


@pytest.fixture
def opened(folder: DataFolder, said: list[str]) -> Iterator[_Open]:
    """Makes handles on the folder's server, as each command has its own; stops it at the end."""

    def handle() -> EmbeddedServer:
        return EmbeddedServer(RedisServer(folder), folder, said.append)

    yield handle
    handle().stop()


def _bring_up(server: EmbeddedServer, *, alone: bool = True) -> str:
    server.find_or_start()
    server.become_ready(10.0, 0.3, alone=alone)
    return server.url


def _process(folder: DataFolder) -> ServerProcess:
    process = ServerProcess.read(folder.run / "redis.json")
    assert process is not None
    return process


def test_data_survives_a_stop_and_a_kill(folder: DataFolder, opened: _Open) -> None:
    """What was written and forced out is there after a clean stop and after ``kill -9``."""
    server = opened()
    with Redis.from_url(_bring_up(server)) as redis:
        redis.set("a", "1")
    server.stop()
    with Redis.from_url(_bring_up(opened())) as redis:
        assert redis.get("a") == b"1"
        redis.set("b", "2")
    os.kill(_process(folder).pid, signal.SIGKILL)
    with Redis.from_url(_bring_up(opened())) as redis:
        assert redis.mget("a", "b") == [b"1", b"2"]


def test_it_refuses_writes_rather_than_evicting(opened: _Open) -> None:
    """The settings that the promise rests on are in force."""
    with Redis.from_url(_bring_up(opened())) as redis:
        settings = redis.config_get("*")
    assert isinstance(settings, dict)
    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["appendonly"] == "yes"
    assert settings["appendfsync"] == "everysec"
    assert settings["port"] == "0"


def test_only_its_owner_reaches_it(folder: DataFolder, opened: _Open) -> None:
    """It listens on no port, and socket and data are closed to others."""
    with Redis.from_url(_bring_up(opened())) as redis:
        redis.set("a", "1")
    assert psutil.Process(_process(folder).pid).net_connections("inet") == []
    assert stat.S_ISSOCK((folder.run / "redis.sock").stat().st_mode)
    for path in (folder.path, *folder.path.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_running_one_is_used_again(folder: DataFolder, opened: _Open, said: list[str]) -> None:
    """A second handle finds the server of the first, also when the record is lost."""
    _bring_up(opened())
    pid = _process(folder).pid
    _bring_up(opened())
    assert _process(folder).pid == pid
    (folder.run / "redis.json").unlink()
    _bring_up(opened())
    assert _process(folder).pid == pid
    assert said[-1] == f"found the embedded Redis running (pid {pid})"


def test_a_silent_one_is_replaced(folder: DataFolder, opened: _Open) -> None:
    """A found server that does not answer makes way for a new one, with its data."""
    with Redis.from_url(_bring_up(opened())) as redis:
        redis.set("a", "1")
    old = _process(folder)
    kind = RedisServer(folder)
    freeze(old.pid)
    # SIGTERM is held back from a stopped process, so let it go on once it was asked to end.
    wake = threading.Timer(1.0, thaw, (old.pid,))
    wake.start()
    with Redis.from_url(_bring_up(opened())) as redis:
        assert redis.get("a") == b"1"
    wake.join()
    assert _process(folder).pid != old.pid
    assert not old.is_alive(kind.address_of)


def test_a_silent_one_that_others_use_is_left_alone(folder: DataFolder, opened: _Open) -> None:
    """Nobody's server is taken away; the newcomer gives up with a reason."""
    _bring_up(opened())
    pid = _process(folder).pid
    freeze(pid)
    try:
        with pytest.raises(UnreachableError, match="other commands use it"):
            _bring_up(opened(), alone=False)
    finally:
        thaw(pid)
    assert _process(folder).is_alive(RedisServer(folder).address_of)


def test_a_stale_record_is_recovered_from(folder: DataFolder, opened: _Open) -> None:
    """A record whose pid is now another program's leads to a new server and no signal."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        create_time = psutil.Process(other.pid).create_time()
        record = folder.run / "redis.json"
        socket_path = str(folder.run / "redis.sock")
        ServerProcess(other.pid, create_time, socket_path, ready=True).write(record)
        server = opened()
        assert server.running_url() is None
        _bring_up(server)
        assert _process(folder).pid != other.pid
        other.communicate(b"\n")
    assert other.returncode == 0


def test_a_server_out_of_sight_is_not_doubled(folder: DataFolder, opened: _Open) -> None:
    """A socket that answers without a visible process is in use: two servers spoil the data."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as foreign:
        foreign.bind(str(folder.run / "redis.sock"))
        foreign.listen()

        def answer() -> None:
            connection, _ = foreign.accept()
            with connection:
                connection.recv(64)
                connection.sendall(b"+PONG\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(UnreachableError, match="another container"):
            opened().find_or_start()
        thread.join()


def test_a_failed_start_shows_the_log(folder: DataFolder, opened: _Open) -> None:
    """The user sees what the server itself complained about, and no data is touched."""
    damaged = folder.redis / "appendonlydir" / "appendonly.aof.manifest"
    damaged.parent.mkdir()
    damaged.write_text("nonsense\n")
    with pytest.raises(UnreachableError, match=r"(?s)ended while starting.*redis\.log.*manifest"):
        _bring_up(opened())
    assert damaged.read_text() == "nonsense\n"


def test_a_long_path_moves_the_socket_alone(tmp_path: Path) -> None:
    """Where the path is too long for a socket, an owner-only temporary folder holds it."""
    folder = DataFolder(tmp_path / "a long name, with spaces" / ("x" * 100) / "data")
    folder.create()
    server = EmbeddedServer(RedisServer(folder), folder, lambda _line: None)
    try:
        with Redis.from_url(_bring_up(server)) as redis:
            redis.set("a", "1")
        home = Path(_process(folder).address).parent
        assert home.stat().st_mode & 0o777 == 0o700
        again = EmbeddedServer(RedisServer(folder), folder, lambda _line: None)
        assert again.running_url() == server.url
    finally:
        server.stop()
    assert not home.exists()
    assert any((folder.redis / "appendonlydir").iterdir())
