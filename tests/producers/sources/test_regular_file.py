"""Reading one file that may change, vanish or turn into something else."""

import asyncio
import functools
import gc
import itertools
import os
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeAlias

import pytest

from contract.errors import DocumentError
from producers.document import Reason
from producers.sources import regular_file
from producers.sources.regular_file import read

BIG = 1 << 30

Meddle: TypeAlias = Callable[[Callable[[], object], Collection[int]], None]


@pytest.fixture
def meddle(monkeypatch: pytest.MonkeyPatch) -> Meddle:
    """Give what acts between a reader's looks: at the file, at what it opened, at the file."""

    def meddle(act: Callable[[], object], looks: Collection[int]) -> None:
        """Act after the looks with these numbers, counted from 1."""
        numbers = itertools.count(1)
        original = regular_file._State.of

        def of(status: os.stat_result) -> regular_file._State:
            state = original(status)
            if next(numbers) in looks:
                act()
            return state

        monkeypatch.setattr(regular_file._State, "of", of)

    return meddle


def append(path: Path) -> None:
    """Let a file grow."""
    with path.open("ab") as file:
        file.write(b"new")


def rewrite(path: Path) -> None:
    """Give a file other content of the same size, and another time."""
    path.write_bytes(b"new" * (path.stat().st_size // 3))
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))


def replace(path: Path) -> None:
    """Put another file in its place, of the same size and time."""
    status = path.stat()
    other = path.with_suffix(".other")
    other.write_bytes(b"new" * (status.st_size // 3))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)


async def test_a_file_is_read_whole(tmp_path: Path) -> None:
    """All bytes come back, also exactly at the limit."""
    path = tmp_path / "a"
    data = os.urandom(3_000_000)
    path.write_bytes(data)
    assert await read(str(path), len(data)) == data


async def test_an_empty_file_is_read(tmp_path: Path) -> None:
    """No bytes are bytes."""
    (tmp_path / "a").touch()
    assert await read(str(tmp_path / "a"), 0) == b""


async def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    """What counts is the file it leads to."""
    (tmp_path / "a").write_bytes(b"text")
    (tmp_path / "link").symlink_to("a")
    assert await read(str(tmp_path / "link"), BIG) == b"text"


async def test_a_file_above_the_limit_is_refused(tmp_path: Path) -> None:
    """The error says both sizes."""
    (tmp_path / "a").write_bytes(b"12345")
    with pytest.raises(DocumentError, match="5 bytes, the limit is 4") as caught:
        await read(str(tmp_path / "a"), 4)
    assert caught.value.reason is Reason.TOO_BIG


async def test_a_vanished_file_is_named_so(tmp_path: Path) -> None:
    """Neither a deleted file nor one whose folder is now a file raises an OSError."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "a", tmp_path / "file" / "a"):
        with pytest.raises(DocumentError) as caught:
            await read(str(path), BIG)
        assert caught.value.reason is Reason.VANISHED


async def test_a_fifo_in_its_place_does_not_block(tmp_path: Path) -> None:
    """A FIFO without a writer is refused at once, and never opened."""
    os.mkfifo(tmp_path / "a")
    with pytest.raises(DocumentError, match="FIFO") as caught:
        await read(str(tmp_path / "a"), BIG)
    assert caught.value.reason is Reason.SPECIAL_FILE


async def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    """A folder is no regular file."""
    with pytest.raises(DocumentError, match="a folder") as caught:
        await read(str(tmp_path), BIG)
    assert caught.value.reason is Reason.SPECIAL_FILE


async def test_a_circle_of_links_is_named_so(tmp_path: Path) -> None:
    """A link to itself ends as an error of this document."""
    (tmp_path / "a").symlink_to("a")
    with pytest.raises(DocumentError) as caught:
        await read(str(tmp_path / "a"), BIG)
    assert caught.value.reason is Reason.SYMLINK_LOOP


async def test_what_the_system_refuses_is_unreadable(tmp_path: Path) -> None:
    """Any other trouble (here: a name that is too long) carries the system's words."""
    with pytest.raises(DocumentError, match="too long") as caught:
        await read(str(tmp_path / ("x" * 300)), BIG)
    assert caught.value.reason is Reason.UNREADABLE


async def test_a_file_without_permission_is_unreadable(unprivileged_folder: Path) -> None:
    """No right to read is an error of this document."""
    (unprivileged_folder / "a").touch(mode=0)
    with pytest.raises(DocumentError, match="denied") as caught:
        await read(str(unprivileged_folder / "a"), BIG)
    assert caught.value.reason is Reason.UNREADABLE


async def test_a_file_that_outgrows_the_limit_is_refused(tmp_path: Path, meddle: Meddle) -> None:
    """A file that was small enough when it was opened is not read beyond the limit."""
    path = tmp_path / "a"
    path.write_bytes(b"old" * 100)
    meddle(functools.partial(append, path), {2})
    with pytest.raises(DocumentError) as caught:
        await read(str(path), 300)
    assert caught.value.reason is Reason.TOO_BIG


@pytest.mark.parametrize("change", [append, rewrite, replace])
@pytest.mark.parametrize("look", [1, 2])
async def test_one_change_is_read_over(
    tmp_path: Path, meddle: Meddle, look: int, change: Callable[[Path], None]
) -> None:
    """Whenever the change comes, what is given is the file after it."""
    path = tmp_path / "a"
    path.write_bytes(b"old" * 100)
    meddle(functools.partial(change, path), {look})
    assert await read(str(path), BIG) == path.read_bytes()
    assert b"new" in path.read_bytes()


@pytest.mark.parametrize("change", [append, rewrite, replace])
@pytest.mark.parametrize("look", [1, 2])
async def test_a_second_change_is_an_error(
    tmp_path: Path, meddle: Meddle, look: int, change: Callable[[Path], None]
) -> None:
    """A file that does not rest is given up after two attempts."""
    path = tmp_path / "a"
    path.write_bytes(b"old" * 100)
    meddle(functools.partial(change, path), range(look, 100))
    with pytest.raises(DocumentError, match="twice") as caught:
        await read(str(path), BIG)
    assert caught.value.reason is Reason.CHANGED


@pytest.mark.timeout(20)
async def test_a_fifo_that_comes_just_before_the_opening_does_not_block(
    tmp_path: Path, meddle: Meddle
) -> None:
    """Looking first is not enough: it is opened so that it can't wait."""
    path = tmp_path / "a"
    path.write_bytes(b"text")

    def become_fifo() -> None:
        path.unlink()
        os.mkfifo(path)

    meddle(become_fifo, {1})
    with pytest.raises(DocumentError, match="FIFO") as caught:
        await read(str(path), BIG)
    assert caught.value.reason is Reason.SPECIAL_FILE


async def test_a_file_that_vanishes_while_it_is_read_is_an_error(
    tmp_path: Path, meddle: Meddle
) -> None:
    """Who deletes a document doesn't want it to be found."""
    path = tmp_path / "a"
    path.write_bytes(b"text")
    meddle(path.unlink, {2})
    with pytest.raises(DocumentError) as caught:
        await read(str(path), BIG)
    assert caught.value.reason is Reason.VANISHED


async def test_a_cancelled_reader_leaves_no_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is cancelled while a thread opens the file can't close it; the thread does."""
    path = tmp_path / "a"
    path.write_bytes(b"text")
    loop = asyncio.get_running_loop()
    opening, cancelled = asyncio.Event(), threading.Event()

    def slow_open(name: str, flags: int) -> int:
        loop.call_soon_threadsafe(opening.set)
        cancelled.wait(20)
        return os.open(name, flags)

    monkeypatch.setattr(regular_file, "_open", slow_open)
    reading = asyncio.create_task(read(str(path), BIG))
    await opening.wait()
    reading.cancel()
    await asyncio.wait([reading])
    cancelled.set()
    await loop.shutdown_default_executor()
    gc.collect()  # A file left open warns here, and a warning fails the test.
