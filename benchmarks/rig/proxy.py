"""A TCP proxy on loopback that stands before a server and breaks what passes."""

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field

HOST = "127.0.0.1"
_CHUNK_BYTES = 256 * 1024
_ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER by which a close becomes a reset."""


@dataclass(eq=False)
class _Link:
    """One connection of a client and the server's end of it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    lost: bool = False
    """Nothing passes any more, and neither side is told."""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def reset(self) -> None:
        """Cut it, so that both sides see a reset."""
        for writer in (self.client, self.server):
            if writer is not None:
                found: socket.socket | None = writer.get_extra_info("socket")
                with contextlib.suppress(OSError):
                    if found is not None:
                        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
                writer.transport.abort()


class Proxy:
    """Passes connections on; its port stays the same, and its own, whatever happens.

    Attributes:
        port: where clients connect, on 127.0.0.1.
        held_bytes: how much waits because of ``hold``.
    """

    def __init__(self, port: int) -> None:
        """Stand before the server at this port of 127.0.0.1; ``open`` begins."""
        self._target = port
        self._reservation = _bound(0)
        self.port: int = self._reservation.getsockname()[1]
        self.held_bytes = 0
        self._listener: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self._swallows = False

    async def open(self) -> None:
        """Take connections; nothing happens when it does already."""
        if self._listener is None:
            self._listener = await asyncio.start_server(
                self._serve, sock=_bound(self.port), backlog=512
            )

    def refuse(self) -> None:
        """Cut all connections and refuse new ones, until ``open``."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self.drop()

    def drop(self) -> None:
        """Cut all connections of this moment."""
        for link in tuple(self._links):
            link.reset()

    def swallow(self) -> None:
        """Let nothing through on any connection, old or new, and tell nobody."""
        self._swallows = True
        for link in self._links:
            link.lost = True

    def heal(self) -> None:
        """Let new connections through; those that were swallowed stay lost, as after a failover."""
        self._swallows = False

    def hold(self) -> None:
        """Keep back what clients send, until ``release``: it arrives late, but it arrives."""
        self._passing.clear()

    def release(self) -> None:
        """Send on what was kept back, also when its sender is gone or stopped."""
        self._passing.set()

    async def aclose(self) -> None:
        """Cut everything and give the port back."""
        self.refuse()
        self.release()
        tasks = [task for link in self._links for task in link.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._reservation.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer, lost=self._swallows)
        self._links.add(link)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this in a task
        link.tasks.append(task)
        try:
            if link.lost:  # nobody is there: the bytes are acknowledged and forgotten
                while await reader.read(_CHUNK_BYTES):
                    pass
                return
            answers, link.server = await asyncio.open_connection(HOST, self._target)
            back = asyncio.create_task(self._pump(answers, writer, link, held=False))
            link.tasks.append(back)
            await self._pump(reader, link.server, link, held=True)
            await back
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._links.discard(link)
            link.reset()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        link: _Link,
        *,
        held: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK_BYTES):
                if held and not self._passing.is_set():
                    self.held_bytes += len(chunk)
                    await self._passing.wait()
                    self.held_bytes -= len(chunk)
                if not link.lost:
                    writer.write(chunk)
                    await writer.drain()
            if not link.lost:
                writer.write_eof()


def _bound(port: int) -> socket.socket:
    """Bind without listening: nobody else gets the port, and who connects is refused."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((HOST, port))
    return bound
