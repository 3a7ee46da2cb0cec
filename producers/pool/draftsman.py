"""A draftsman: one process that drafts, as the producer sees it."""

import asyncio
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Final, Self

import msgspec

from contract.settings import PARENT_VARIABLE
from producers.drafting import Assignment
from producers.pool.process import HEADER_BYTES, Commission, Reply, framed

_BUFFER_BYTES: Final = 1024 * 1024

# Not by multiprocessing: its forkserver outlives a killed parent, its spawn runs a program's
# main module again, and either leaves a Ctrl-C to the children.
_PROGRAM: Final = (
    "import sys; sys.path[:] = sys.argv[1:]; from producers.pool.process import main; main()"
)


class EndedError(Exception):
    """The process has ended.

    Attributes:
        returncode: as ``subprocess`` gives it: negative, the signal that ended it.
    """

    def __init__(self, returncode: int) -> None:
        """Keep how it ended."""
        super().__init__(returncode)
        self.returncode = returncode

    def __str__(self) -> str:
        """Name the signal, or the exit code."""
        if self.returncode < 0:
            return signal.strsignal(-self.returncode) or f"signal {-self.returncode}"
        return f"exit code {self.returncode}"


class Draftsman:
    """Drafts documents in a process of its own, in a session of its own.

    So a Ctrl-C reaches the producer alone, which ends it. Killed itself, the producer takes
    it along: it sees the end of its socket, or that its parent is gone.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Take over a process and the socket to it; ``hire`` starts one."""
        self._process = process
        self._reader = reader
        self._writer = writer
        self._decoder = msgspec.msgpack.Decoder(Reply)

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    @classmethod
    async def hire(cls, commission: Commission) -> Self:
        """Start a process, and wait until it is ready; the caller ends it by ``end``.

        Raises:
            EndedError: it ended before it was ready.
            OSError: it can't be started.
        """
        process, ours = _started()
        try:
            opened = await asyncio.open_unix_connection(sock=ours, limit=_BUFFER_BYTES)
        except BaseException:
            ours.close()
            process.kill()
            process.wait()
            raise
        draftsman = cls(process, *opened)
        try:
            await draftsman._send(pickle.dumps(commission))
            await draftsman._receive()
        except BaseException:
            draftsman.end()
            raise
        return draftsman

    async def replies(self, assignments: Sequence[Assignment]) -> AsyncIterator[Reply]:
        """Give what becomes of each document, in order, as soon as it is known.

        Raises:
            EndedError: the process ended, with the first document that has no reply in hand.
        """
        await self._send(pickle.dumps(assignments))
        for _ in assignments:
            yield self._decoder.decode(await self._receive())

    def end(self) -> int:
        """End the process at once, and give its exit code; harmless when it has ended."""
        self._writer.transport.abort()
        self._process.kill()
        return self._process.wait()

    async def _send(self, payload: bytes) -> None:
        self._writer.write(framed(payload))
        try:
            await self._writer.drain()
        except ConnectionError as error:
            raise EndedError(self.end()) from error

    async def _receive(self) -> bytes:
        try:
            size = int.from_bytes(await self._reader.readexactly(HEADER_BYTES), "big")
            return await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise EndedError(self.end()) from error


def _started() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a process with one end of a socket as its standard input.

    Raises:
        OSError: it can't be started.
    """
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(  # noqa: S603 - this interpreter
            [sys.executable, "-P", "-c", _PROGRAM, *sys.path],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            env={**os.environ, PARENT_VARIABLE: str(os.getpid())},
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return process, ours
