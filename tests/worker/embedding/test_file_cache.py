"""Promises of the cache in a file, with processes that share it and are killed."""

# ruff: noqa: ASYNC240 - nothing else waits for this loop

import contextlib
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contract.errors import TransientError, UsageError
from tests.worker.embedding.cache_writer import IN_BATCH, TIMES
from worker.embedding.file_cache import FileCache

MIB = 1024 * 1024
ROOT = Path(__file__).parents[3]
WRITER = Path(__file__).with_name("cache_writer.py")


class Hours:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        """Begin long ago."""
        self.hour = 1_000

    def __call__(self) -> float:
        """Give seconds since the epoch."""
        return self.hour * 3600.0


@contextlib.asynccontextmanager
async def opened(
    path: Path, most_bytes: int = MIB, hours: Hours | None = None
) -> AsyncIterator[FileCache]:
    """Open it, and close it."""
    cache = FileCache(path, most_bytes, hours or Hours())
    yield cache
    await cache.aclose()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a file that is not there, with what a URL must quote."""
    return tmp_path / "ca che.sqlite"


def writer(path: Path, name: str, batches: int) -> subprocess.Popen[str]:
    """Start a process that writes."""
    return subprocess.Popen(
        [sys.executable, str(WRITER), str(path), str(MIB), name, str(batches)],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )


async def test_what_is_written_is_read(path: Path) -> None:
    """In the order of the keys, also after it was closed, and by its owner alone."""
    async with opened(path) as cache:
        await cache.write({b"a": b"1", b"\xff\0": b"2"})
        assert await cache.read([b"\xff\0", b"none", b"a"]) == [b"2", None, b"1"]
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    async with opened(path) as cache:
        await cache.write({b"a": b"3"})
        assert await cache.read([b"a", b"\xff\0"]) == [b"3", b"2"]
    assert {file.name for file in path.parent.iterdir()} == {path.name, f"{path.name}.lock"}


@pytest.mark.parametrize("size", [40, 1_544, 6_152, 40_000])
async def test_it_keeps_within_its_bound(path: Path, size: int) -> None:
    """Three times as much as there is room for: no write fails, and much of the room is used."""
    async with opened(path) as cache:
        number = 0
        while number * (size + 8) < 3 * MIB:
            keys = [b"%08d" % n for n in range(number, number + 64)]
            await cache.write(dict.fromkeys(keys, b"v" * size))
            number += len(keys)
            assert path.stat().st_size <= MIB
        held = [number for number in range(number) if (await cache.read([b"%08d" % number]))[0]]
    assert held == list(range(held[0], number))
    assert path.stat().st_size > MIB // 2


async def test_one_write_may_be_larger_than_the_bound(path: Path) -> None:
    """Its end is kept."""
    keys = [b"%d" % number for number in range(100)]
    async with opened(path) as cache:
        await cache.write(dict.fromkeys(keys, b"v" * (MIB // 20)))
        found = await cache.read(keys)
        assert found[-1] is not None
        assert found[0] is None
    assert path.stat().st_size <= MIB


async def test_what_was_used_longest_ago_goes_first(path: Path) -> None:
    """Reading counts as use."""
    hours = Hours()
    keys = [b"%d" % number for number in range(20)]
    async with opened(path, hours=hours) as cache:
        await cache.write(dict.fromkeys(keys, b"v" * 40_000))
        hours.hour += 1
        assert None not in await cache.read(keys[:3])
        hours.hour += 1
        await cache.write({b"new %d" % number: b"v" * 40_000 for number in range(10)})
        kept = [key for key, value in zip(keys, await cache.read(keys), strict=True) if value]
    assert kept[:3] == keys[:3]
    assert kept[3:] == keys[-len(kept[3:]) :]
    assert len(kept) < len(keys)


async def test_a_file_in_use_by_two_processes(path: Path) -> None:
    """Both open, make and write it at once, and each finds what the other wrote."""
    batches = 20
    processes = [writer(path, name, batches) for name in ("one", "two")]
    for process in processes:
        output, _ = process.communicate(timeout=60)
        assert (process.returncode, len(output.split())) == (0, batches)
    async with opened(path) as cache:
        for name in ("one", "two"):
            keys = [f"{name} {number}".encode() for number in range(batches * IN_BATCH)]
            assert await cache.read(keys) == [key * TIMES for key in keys]


async def test_a_killed_writer_leaves_a_file_that_can_be_used(path: Path) -> None:
    """What it said it has written is there, whole; and the file takes more."""
    for name in ("one", "two", "three"):
        with writer(path, name, 0) as process:
            assert process.stdout is not None
            said = [process.stdout.readline().strip() for _ in range(5)]
            process.kill()
        keys = [f"{name} {number}".encode() for number in range((int(said[-1]) + 1) * IN_BATCH)]
        async with opened(path) as cache:
            assert await cache.read(keys) == [key * TIMES for key in keys]
            await cache.write({b"more": b"1"})
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert not path.with_name(path.name + ".broken").exists()


@pytest.mark.parametrize("content", ["text", "database", "zeros"])
async def test_a_file_of_someone_else_is_left_alone(path: Path, content: str) -> None:
    """Whatever it is, it is named and not touched."""
    if content == "database":
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE vectors (a)")
            connection.commit()
    else:
        path.write_bytes(b"my letters" if content == "text" else bytes(8_192))
    before = path.read_bytes()
    async with opened(path) as cache:
        with pytest.raises(UsageError, match="is no embedding cache"):
            await cache.check()
        with pytest.raises(UsageError):
            await cache.write({b"a": b"1"})
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["folder", "no folder", "a file for a folder"])
async def test_a_place_that_can_t_be_is_told(path: Path, kind: str) -> None:
    """The message names it."""
    if kind == "folder":
        path.mkdir()
    else:
        if kind != "no folder":
            path.write_bytes(b"")
        path = path / "cache.sqlite"
    async with opened(path) as cache:
        with pytest.raises(UsageError, match="can't be opened") as caught:
            await cache.check()
    assert str(path) in str(caught.value)


def damage(path: Path, first_page: int) -> None:
    """Write over all pages of a file from one on, but not over whose it is."""
    content = bytearray(path.read_bytes())
    start = max(100, first_page * 4096)
    content[start:] = b"\xa5" * (len(content) - start)
    path.write_bytes(content)


async def test_a_broken_file_of_ours_is_put_aside(path: Path) -> None:
    """It is found broken at the start, and begun anew."""
    async with opened(path) as cache:
        await cache.write({b"a": b"1"})
    damage(path, 0)
    async with opened(path) as cache:
        await cache.check()
        await cache.write({b"a": b"2"})
        assert await cache.read([b"a"]) == [b"2"]
    assert path.with_name(path.name + ".broken").exists()


async def test_one_that_breaks_in_use_is_put_aside_once(path: Path) -> None:
    """The call that finds it fails, the next works, and another process's new file stays."""
    keys = [b"%d" % number for number in range(200)]
    async with opened(path) as cache:
        await cache.write(dict.fromkeys(keys, b"v" * 1_000))
    async with opened(path) as one, opened(path) as two:
        await one.check()
        await two.check()
        damage(path, 1)
        with pytest.raises(TransientError):
            await one.read(keys)
        await one.write({b"a": b"1"})
        with pytest.raises(TransientError):
            await two.read(keys)
        assert await two.read([b"a"]) == [b"1"]
        await two.write({b"b": b"2"})
        assert await one.read([b"b"]) == [b"2"]
    async with opened(path) as cache:
        assert await cache.read([b"a", b"b"]) == [b"1", b"2"]


async def test_a_file_that_someone_keeps_locked_is_trouble(path: Path) -> None:
    """Reading goes on beside a writer; a second writer gives up in time."""
    async with opened(path) as cache:
        await cache.write({b"a": b"1"})
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            assert await cache.read([b"a"]) == [b"1"]
            with pytest.raises(TransientError, match="locked"):
                await cache.write({b"a": b"2"})
            other.execute("ROLLBACK")
        await cache.write({b"a": b"3"})
        assert await cache.read([b"a"]) == [b"3"]
