"""Reading one file that may change, vanish or turn into something else."""

import asyncio
import functools
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from contract.errors import DocumentError
from producers.document import Reason
from producers.sources import regular_file
from producers.sources.regular_file import read

BIG = 1 << 30

GROWING = """
import sys
with open(sys.argv[1], "ab", buffering=0) as file:
    while True:
        file.write(b"more")
"""


class Meddler(ThreadPoolExecutor):
    """Runs a reader's steps (look, take, look), and acts before some."""

    def __init__(self, act: Callable[[], object], steps: Collection[int]) -> None:
        """Act before the steps with these numbers, counted from 1."""
        super().__init__(max_workers=1)
        self.step = 0
        self._act = act
        self._steps = steps

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        """Take the next step."""
        self.step += 1
        if self.step in self._steps:
            self._act()
        return super().submit(*args, **kwargs)


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


@pytest.fixture
def restless(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Give a file that another process changes all the time."""
    path = tmp_path / "restless.txt"
    path.write_bytes(b"x" * 4_000_000)
    first = path.stat()
    writer = subprocess.Popen([sys.executable, "-c", request.param, str(path)])
    try:
        deadline = time.monotonic() + 20
        while path.stat().st_mtime_ns == first.st_mtime_ns and time.monotonic() < deadline:
            assert writer.poll() is None
        yield path
    finally:
        writer.kill()
        writer.wait()


def size(path: Path) -> int:
    """Give the size of a file at this moment, in bytes."""
    return path.stat().st_size


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


async def read_while_whole(path: Path) -> None:
    """Read again and again: in one reading the other process may not get a turn."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        await read(str(path), BIG)


@pytest.mark.parametrize("restless", [GROWING], indirect=True)
async def test_a_growing_file_is_refused(restless: Path) -> None:
    """Half of a change never becomes a document."""
    with pytest.raises(DocumentError) as caught:
        await read_while_whole(restless)
    assert caught.value.reason is Reason.CHANGED


@pytest.mark.parametrize("restless", [GROWING], indirect=True)
async def test_a_file_that_outgrows_the_limit_is_refused(restless: Path) -> None:
    """A file that was small enough when it was opened is not read beyond the limit."""
    with pytest.raises(DocumentError) as caught:
        await read(str(restless), size(restless))
    assert caught.value.reason is Reason.TOO_BIG


@pytest.mark.parametrize("change", [append, rewrite, replace])
@pytest.mark.parametrize("step", [2, 3])
async def test_one_change_is_read_over(
    tmp_path: Path, step: int, change: Callable[[Path], None]
) -> None:
    """Whenever the change comes, what is given is the file after it."""
    path = tmp_path / "a"
    path.write_bytes(b"old" * 100)
    meddler = Meddler(functools.partial(change, path), {step})
    asyncio.get_running_loop().set_default_executor(meddler)
    assert await read(str(path), BIG) == path.read_bytes()
    assert b"new" in path.read_bytes()


@pytest.mark.parametrize("change", [append, rewrite, replace])
@pytest.mark.parametrize("step", [2, 3])
async def test_a_second_change_is_an_error(
    tmp_path: Path, step: int, change: Callable[[Path], None]
) -> None:
    """A file that does not rest is given up after two attempts."""
    path = tmp_path / "a"
    path.write_bytes(b"old" * 100)
    meddler = Meddler(functools.partial(change, path), range(step, 100))
    asyncio.get_running_loop().set_default_executor(meddler)
    with pytest.raises(DocumentError, match="twice") as caught:
        await read(str(path), BIG)
    assert caught.value.reason is Reason.CHANGED


@pytest.mark.timeout(20)
async def test_a_fifo_that_comes_just_before_the_opening_does_not_block(tmp_path: Path) -> None:
    """Looking first is not enough: it is opened so that it can't wait."""
    path = tmp_path / "a"
    path.write_bytes(b"text")

    def become_fifo() -> None:
        path.unlink()
        os.mkfifo(path)

    asyncio.get_running_loop().set_default_executor(Meddler(become_fifo, {2}))
    with pytest.raises(DocumentError, match="FIFO") as caught:
        await read(str(path), BIG)
    assert caught.value.reason is Reason.SPECIAL_FILE


async def test_a_file_that_vanishes_after_it_was_read_is_an_error(tmp_path: Path) -> None:
    """Who deletes a document doesn't want it to be found."""
    path = tmp_path / "a"
    path.write_bytes(b"text")
    asyncio.get_running_loop().set_default_executor(Meddler(path.unlink, {3}))
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
