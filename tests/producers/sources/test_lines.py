"""Lines: cut as they come, given as soon as they have waited long enough, never all held."""

import asyncio
import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.document import Omission
from producers.sources.lines import SHORTEST_LIMIT_BYTES, Cutter, LineStream
from producers.sources.record import Record
from producers.sources.stream import Haul, Net


@given(
    lines=st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b""))),
    sizes=st.lists(st.integers(1, 9), min_size=1),
    ends=st.booleans(),
)
def test_however_it_is_read_the_lines_are_the_same(
    lines: list[bytes],
    sizes: list[int],
    ends: bool,  # noqa: FBT001 - drawn
) -> None:
    """Each line with its number; those that are too long without their text."""
    data = b"\n".join(lines) + (b"\n" if ends and lines else b"")
    cutter = Cutter(8)
    found: list[tuple[int, bytes | None]] = []
    at = 0
    while at < len(data):
        size = sizes[at % len(sizes)]
        found += cutter.feed(data[at : at + size])
        at += size
    found += cutter.end()
    if not ends:
        lines = lines if not lines or lines[-1] else lines[:-1]
    assert found == [
        (number, line if len(line) <= 8 else None) for number, line in enumerate(lines, 1)
    ]


def test_a_huge_line_is_not_held() -> None:
    """It is dropped while it comes."""
    cutter = Cutter(1000)
    for _ in range(1000):
        assert list(cutter.feed(b"x" * 900)) == []
        assert len(cutter._rest) <= 1000
    assert list(cutter.feed(b"\nnext\n")) == [(1, None), (2, b"next")]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Give both ends of a pipe."""
    reader, writer = os.pipe()
    yield reader, writer
    for end in (reader, writer):
        with contextlib.suppress(OSError):  # a test may have closed it
            os.close(end)


def stream(descriptor: int, age_seconds: float = 0.05, max_bytes: int = 1000) -> LineStream:
    """Read a descriptor."""
    return LineStream(
        "s", descriptor, dimension=3, max_document_bytes=max_bytes, age_seconds=age_seconds
    )


def line(key: str) -> bytes:
    """Write a document."""
    return json.dumps({"id": key, "text": "t"}).encode() + b"\n"


def told(haul: Haul) -> list[str]:
    """Name what is in a haul: keys, or places of what is wrong."""
    return [
        item.read.entry.key if isinstance(item.read, Record) else f"({item.read.key})"
        for item in haul.items
    ]


async def test_a_trickle_leaves_though_nothing_follows(pipe: tuple[int, int]) -> None:
    """A line waits for others as long as a batch, and no longer; the pipe stays open."""
    reader, writer = pipe
    async with aclosing(stream(reader).hauls()) as hauls:
        os.write(writer, b"\xef\xbb\xbf" + line("a") + b"\r\n" + line("b") + b'{"id":')
        async with asyncio.timeout(10):
            assert told(await anext(hauls)) == ["a", "b"]
        os.write(writer, b'"c","text":"t"}')
        os.close(writer)
        async with asyncio.timeout(10):
            assert told(await anext(hauls)) == ["c"]
            assert [haul async for haul in hauls] == []


async def test_a_steady_stream_leaves_in_time(pipe: tuple[int, int]) -> None:
    """Lines that keep coming don't keep the first one waiting."""
    reader, writer = pipe
    seconds = 0.0
    lines = LineStream(
        "s",
        reader,
        dimension=3,
        max_document_bytes=1000,
        age_seconds=10.0,
        now=lambda: seconds,
    )
    async with aclosing(lines.hauls()) as hauls:
        coming = asyncio.ensure_future(anext(hauls))
        os.write(writer, line("a"))
        while lines._cutter._number < 1:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.001)
        seconds = 11.0
        os.write(writer, line("b"))
        async with asyncio.timeout(5):
            assert told(await coming) == ["a", "b"]


async def test_much_leaves_at_once(pipe: tuple[int, int]) -> None:
    """A full haul does not wait, and says that it is full."""
    reader, writer = pipe
    async with aclosing(stream(reader, 3600.0).hauls()) as hauls:
        writing = asyncio.create_task(
            asyncio.to_thread(os.write, writer, b"".join(line(str(n)) for n in range(1500)))
        )
        async with asyncio.timeout(10):
            haul = await anext(hauls)
            await writing
            os.close(writer)
            rest = await anext(hauls)
    assert (len(haul.items), haul.is_full) == (Net.DOCUMENTS, True)
    assert (len(rest.items), rest.is_full) == (1500 - Net.DOCUMENTS, False)


async def test_wrong_lines_are_told_by_their_number(pipe: tuple[int, int]) -> None:
    """Those around them are read."""
    reader, writer = pipe
    async with aclosing(stream(reader, 5.0, max_bytes=100).hauls()) as hauls:
        data = line("a") + b"{\n" + b"x" * (SHORTEST_LIMIT_BYTES + 1) + b"\n" + line("b")
        writing = asyncio.create_task(asyncio.to_thread(_write_all, writer, data))
        haul = await anext(hauls)
        await writing
    assert told(haul) == ["a", "(line 2)", "(line 3)", "b"]
    wrong = [item.read for item in haul.items if isinstance(item.read, Omission)]
    assert [omission.reason for omission in wrong] == ["malformed", "too_big"]


async def test_who_waits_for_a_line_can_be_stopped(pipe: tuple[int, int]) -> None:
    """Nothing comes, and nobody hangs."""
    reader, _ = pipe
    async with aclosing(stream(reader).hauls()) as hauls:
        waiting = asyncio.ensure_future(anext(hauls))
        await asyncio.sleep(0)
        waiting.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait([waiting])
    assert waiting.cancelled()


async def test_no_more_is_read_than_is_asked_for(pipe: tuple[int, int]) -> None:
    """Who writes has to wait when nobody takes."""
    reader, writer = pipe
    os.set_blocking(writer, False)
    async with aclosing(stream(reader, 0.0).hauls()) as hauls:
        os.write(writer, line("a"))
        async with asyncio.timeout(10):
            await anext(hauls)
        data = line("b" * 500)
        taken = 0
        with contextlib.suppress(BlockingIOError):
            for _ in range(10_000):
                taken += os.write(writer, data)
    assert taken < 2 * 1024 * 1024


def _write_all(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
