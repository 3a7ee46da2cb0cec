"""The embedded Milvus: ``milvus-lite server`` on loopback."""

import os
import socket
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from headrace.local.folder import DataFolder
from headrace.local.server import Launch, inherited

_HOST = "127.0.0.1"
_PROGRAM = Path(__file__).with_name("milvus_main.py")
_PROBE = "/milvus.proto.milvus.MilvusService/ShowCollections"


class MilvusServer:
    """Command line, address and probe of the embedded Milvus.

    One RPC at a time (``--max-workers 1``): with concurrent writers, Lite 3.2.2 interleaves
    them in its write-ahead log and loses acknowledged rows at a crash. A memtable of 16 MiB
    keeps searches fast, which scan it row by row. Whoever has an account on this machine
    can connect to its port: Lite knows no password.
    """

    name = "milvus"
    title = "the embedded Milvus"
    # Closing writes the memtable out.
    stop_grace_seconds = 30.0

    def __init__(self, folder: DataFolder) -> None:
        self._data = folder.milvus

    def launch(self) -> Launch:
        """Choose a free port and build the command.

        gRPC binds with ``SO_REUSEPORT``, so two servers that chose the same port would both
        start and share its connections. A socket bound to the port, which the server
        inherits, keeps the port from being given to anyone else.
        """
        reservation = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reservation.bind((_HOST, 0))
        port = reservation.getsockname()[1]
        command = (
            # -P: the program's own folder is no place to import from.
            *(sys.executable, "-P", str(_PROGRAM), "server"),
            *("--data-dir", str(self._data)),
            *("--host", _HOST),
            *("--port", str(port)),
            *("--max-workers", "1"),
        )
        environment = inherited(
            os.environ,
            MILVUS_LITE_MEMTABLE_MEMORY_LIMIT_BYTES=str(16 * 2**20),
            PYTHONUNBUFFERED="1",
        )
        return Launch(command, environment, f"{_HOST}:{port}", reservation)

    def address_of(self, command: Sequence[str]) -> str | None:
        """Read host and port out of a command line on this folder's data."""
        values = dict(pairwise(command))
        if str(_PROGRAM) not in command or values.get("--data-dir") != str(self._data):
            return None
        return f"{values.get('--host')}:{values.get('--port')}"

    def answers(self, address: str, wait_seconds: float) -> bool:
        """Say whether the server lists its collections in time."""
        # Imported here: it takes 0.1 s, and pymilvus 1.5 s, which attaching can do without.
        import grpc  # noqa: PLC0415

        with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
            list_collections = channel.unary_unary(_PROBE)
            try:
                # An empty request and the default database, as protobuf encodes them.
                list_collections(b"", timeout=wait_seconds)
            except grpc.RpcError:
                return False
        return True

    def url(self, address: str) -> str:
        """Give the URI for pymilvus: ``http://127.0.0.1:PORT``."""
        return f"http://{address}"

    def clear(self, address: str) -> None:
        """Do nothing: a port leaves nothing behind."""
