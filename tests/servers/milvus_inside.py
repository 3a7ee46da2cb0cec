"""Runs the Milvus server of the ``milvus`` wheel where nobody outside can reach it.

The server listens on all interfaces, whatever it is told. So this process moves into a
network namespace of its own, starts the server there, and forwards the connections of one
listening socket, which it has inherited: a socket stays in the namespace it was made in.
Namespace and server end with this process, and this process with the one that started it.

Started by its path: ``milvus_inside.py FOLDER LISTENING_FD``. Says ``ready`` on standard
output once the server is healthy; ends with 77 where namespaces are not allowed.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import milvus  # type: ignore[import-untyped]

NOT_ALLOWED = 77
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_HEALTH_PORT = 9091
_CHUNK_BYTES = 256 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _enter_namespace() -> None:
    """Leave the host's network for an empty one, with its loopback up."""
    flags = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    if _libc.unshare(flags):
        code = ctypes.get_errno()
        raise PermissionError(code, os.strerror(code), "unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def _start_server(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Unpack, configure and start the server; returns it and its port."""
    config = milvus.MilvusServerConfig(data_dir=str(folder))
    config.resolve()
    milvus._initialize_data_files(str(folder))
    (folder / "logs").mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "DEPLOY_MODE": "STANDALONE",
        "METRICS_PORT": str(_HEALTH_PORT),
        "MILVUS_RUN_DIR": str(folder / "run"),
        "LD_LIBRARY_PATH": str(folder / "bin"),
    }
    with (folder / "logs" / "output.log").open("wb") as log:
        server = subprocess.Popen(
            [str(folder / "bin" / "milvus"), "run", "standalone"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has one thread
        )
    return server, int(config.get("proxy_port"))


def _is_healthy() -> bool:
    url = f"http://127.0.0.1:{_HEALTH_PORT}/healthz"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return b"OK" in answer.read()
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    with contextlib.suppress(ConnectionError):
        writer.close()
        await writer.wait_closed()


async def _forward(listener: socket.socket, server: subprocess.Popen[bytes], port: int) -> int:
    """Forward connections to the server until told to stop or until it ends."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))

    while not await asyncio.to_thread(_is_healthy):
        if server.poll() is not None:
            return 1
        await asyncio.sleep(0.1)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with await asyncio.start_server(serve, sock=listener):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await stop.wait()
    return 0


def main() -> int:
    """Run until SIGTERM, then kill the server: its own shutdown takes minutes."""
    _die_with_parent()
    folder, listener = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    try:
        _enter_namespace()
    except OSError as error:
        sys.stderr.write(f"no network namespace: {error}\n")
        return NOT_ALLOWED
    server, port = _start_server(folder)
    try:
        return asyncio.run(_forward(listener, server, port))
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
