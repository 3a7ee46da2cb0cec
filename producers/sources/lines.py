"""JSON Lines from a file, a pipe or a terminal, as they come."""

import asyncio
import os
import select
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Final

from contract.errors import DocumentError
from producers.document import Omission, Reason
from producers.sources.record import Read, RecordReader
from producers.sources.stream import Haul, Item, Net

READ_BYTES: Final = 256 * 1024
LINE_MARGIN: Final = 2
"""A line may be so many times as long as a document: vectors, and escapes in JSON."""
SHORTEST_LIMIT_BYTES: Final = 1024 * 1024
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Cutter:
    """Cuts what is read into lines; one that is too long is dropped as it comes. Pure."""

    def __init__(self, longest: int) -> None:
        """Begin before the first line.

        Args:
            longest: most bytes of a line.
        """
        self._longest = longest
        self._rest = bytearray()
        self._is_too_long = False
        self._number = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes | None]]:
        """Give the lines that end here, each with its number; None: it was too long."""
        *ended, rest = data.split(b"\n")
        for line in ended:
            self._hold(line)
            yield self._line()
        self._hold(rest)

    def end(self) -> Iterator[tuple[int, bytes | None]]:
        """Give the last line, if no line feed ended it."""
        if self._rest or self._is_too_long:
            yield self._line()

    def _hold(self, data: bytes) -> None:
        if len(self._rest) + len(data) > self._longest:
            self._is_too_long = True
            self._rest.clear()
        elif not self._is_too_long:
            self._rest += data

    def _line(self) -> tuple[int, bytes | None]:
        self._number += 1
        line = None if self._is_too_long else bytes(self._rest)
        self._is_too_long = False
        self._rest.clear()
        return self._number, line


class LineStream:
    """Documents as lines of JSON, read from a file descriptor to its end.

    Attributes:
        name: the source's name.
    """

    def __init__(
        self,
        name: str,
        descriptor: int,
        *,
        dimension: int,
        max_document_bytes: int,
        age_seconds: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read nothing yet.

        Args:
            name: the source's name.
            descriptor: of an open file, which the caller closes.
            dimension: of the vectors that lines may bring.
            max_document_bytes: most bytes of a document's text and metadata.
            age_seconds: how long a line may wait for others.
            now: a clock that does not jump.
        """
        self.name = name
        self._descriptor = descriptor
        self._reader = RecordReader(dimension, max_document_bytes)
        self._cutter = Cutter(max(max_document_bytes * LINE_MARGIN, SHORTEST_LIMIT_BYTES))
        self._age_seconds = age_seconds
        self._now = now

    @property
    def origin(self) -> str:
        """A pipe has no place of its own."""
        return "standard input"

    async def hauls(self) -> AsyncGenerator[Haul]:
        """Give the lines as they come, until there are no more."""
        net = Net(self._age_seconds, self._now)
        bell, ringer = os.pipe()
        reading = asyncio.create_task(asyncio.to_thread(self._read, bell))
        try:
            while True:
                await asyncio.wait([reading], timeout=net.seconds_left)
                if not reading.done():
                    yield net.emptied()
                    continue
                data = reading.result()
                for item in self._items(data):
                    net.add(item)
                    if net.is_ripe:
                        yield net.emptied()
                if not data:
                    break
                reading = asyncio.create_task(asyncio.to_thread(self._read, bell))
            if not net.is_empty:
                yield net.emptied()
        finally:
            os.write(ringer, b".")  # A thread that waits for a line can't be cancelled.
            await asyncio.wait([reading])
            os.close(bell)
            os.close(ringer)

    async def acknowledge(self, haul: Haul) -> None:
        """A line that was read is nowhere else: whoever wrote it may have to write it again."""

    def _read(self, bell: int) -> bytes:
        """Wait until there is something to read, or somebody rings; give it, or nothing."""
        ready, _, _ = select.select([self._descriptor, bell], [], [])
        return b"" if bell in ready else os.read(self._descriptor, READ_BYTES)

    def _items(self, data: bytes) -> Iterator[Item]:
        for number, line in self._cutter.feed(data) if data else self._cutter.end():
            place = f"line {number}"
            if number == 1 and line is not None:
                line = line.removeprefix(_BYTE_ORDER_MARK)  # noqa: PLW2901 - the same line
            if line is None or line.strip():
                yield Item(place, self._record(line, place))

    def _record(self, line: bytes | None, place: str) -> Read:
        if line is None:
            error = DocumentError(Reason.TOO_BIG, f"{place}: the line is too long")
            return Omission.of(place, b"", error)
        return self._reader.line(line, place)
