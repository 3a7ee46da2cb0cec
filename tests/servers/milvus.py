"""Milvus servers, each a process of its own, for as long as a test needs it.

Milvus Lite is what embedded runs use. The real standalone server, of the ``milvus`` wheel,
shows what Lite hides: true upserts, lengths in bytes, other error codes; it takes some
seconds to start and hundreds of MB.
"""

import contextlib
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from tests.servers.freezing import freeze, thaw
from tests.servers.milvus_inside import NOT_ALLOWED
from tests.servers.redis import free_port, reserved_port

_HOST = "127.0.0.1"
_INSIDE = Path(__file__).with_name("milvus_inside.py")
_START_SECONDS = 110.0
_STOP_SECONDS = 30.0
_LITE_MAIN = Path(__file__).resolve().parents[2] / "headrace" / "local" / "milvus_main.py"
_LITE_START_SECONDS = 60.0
_LIST = "/milvus.proto.milvus.MilvusService/ShowCollections"
_POLL_SECONDS = 0.02


class NoServerHereError(Exception):
    """The real server can't run on this machine; the message says why."""


@dataclass
class MilvusLite:
    """A Milvus Lite server that can be killed and brought back at the same address."""

    folder: Path
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def uri(self) -> str:
        """Where it listens, for pymilvus."""
        return f"http://{_HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the server that runs now."""
        assert self._process is not None, "the server does not run"
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it lists its collections."""
        assert self._process is None, "the server runs already"
        self.folder.mkdir(parents=True, exist_ok=True)
        # One worker: with more, Lite 3.2.2 loses acknowledged rows at a crash.
        command = (
            *(sys.executable, "-P", str(_LITE_MAIN), "server", "--data-dir", str(self.folder)),
            *("--host", _HOST, "--port", str(self.port), "--max-workers", "1"),
        )
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + _LITE_START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, "Milvus Lite ended at once"
            assert time.monotonic() < deadline, f"no answer within {_LITE_START_SECONDS} s"
            time.sleep(_POLL_SECONDS)

    def freeze(self) -> None:
        """Make it hang, until ``thaw``."""
        freeze(self.pid)

    def thaw(self) -> None:
        """Let it go on."""
        thaw(self.pid)

    def kill(self) -> None:
        """End it as a crash would; nothing happens when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_SECONDS)
            self._process = None

    def _answers(self) -> bool:
        options = [("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(f"{_HOST}:{self.port}", options) as channel:
            try:
                channel.unary_unary(_LIST)(b"", timeout=1.0)
            except grpc.RpcError:
                return False
            return True


@contextlib.contextmanager
def milvus_lite(folder: Path) -> Iterator[MilvusLite]:
    """Run Milvus Lite on a free port of 127.0.0.1, with its data in a folder."""
    with reserved_port() as port:
        server = MilvusLite(folder, port)
        try:
            server.start()
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def milvus_server(folder: Path) -> Iterator[str]:
    """Run the real server in a network namespace; gives a URI on 127.0.0.1.

    Args:
        folder: takes its programs (unpacked at each start, 8 s) and its data.

    Raises:
        NoServerHereError: its wheel is not installed, or namespaces are not allowed.
    """
    with socket.socket() as listener:
        listener.bind((_HOST, 0))
        listener.listen()
        port = listener.getsockname()[1]
        log = folder / "inside.log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                # -P: beside that program lies this module, which hides the wheel's own name.
                [sys.executable, "-P", str(_INSIDE), str(folder), str(listener.fileno())],
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
        line = process.stdout.readline() if ready else b""
        if line != b"ready\n":
            said = log.read_text(errors="replace").strip()
            if ready and process.wait(_STOP_SECONDS) == NOT_ALLOWED:
                raise NoServerHereError(said)
            raise AssertionError(f"the Milvus server did not start: {said}")
        yield f"http://{_HOST}:{port}"
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
