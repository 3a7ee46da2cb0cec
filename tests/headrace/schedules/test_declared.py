"""Schedules in headrace.toml."""

import asyncio
import logging
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from contract.errors import SettingsError
from contract.settings import load_settings
from headrace.schedules.book import Book
from headrace.schedules.declared import Declared, read_declared
from headrace.schedules.schedule import Missed, Overlap, Schedule
from headrace.schedules.timetable import Timetable
from producers.deleting import Deletions

NOW_MS = 1_800_000_000_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give a place for the file."""
    return tmp_path / "headrace.toml"


def write(file: Path, text: str) -> None:
    """Write the file."""
    file.write_text(text)


async def names(book: Book) -> list[str]:
    """Name the schedules."""
    return [entry.schedule.name for entry in await book.entries()]


def test_what_is_declared(file: Path, tmp_path: Path) -> None:
    """Paths are relative to the file; settings beside them are read as ever."""
    file.write_text(
        """
        collection = "books"
        [schedules.handbook]
        path = "docs"
        cron = "0 3 * * *"
        timezone = "Europe/Berlin"
        [schedules.news]
        path = "/srv/news"
        every = "15m"
        jitter = 30
        collection = "news"
        source = "feed"
        glob = "*.md"
        missed = "skip"
        overlap = "cancel"
        deletions = "never"
        lane = "live"
        shards = 4
        max_tokens = 1000
        max_cost = 0.5
        """
    )
    assert load_settings({}, tmp_path).collection == "books"
    found = read_declared(file, "books")
    assert found["handbook"] == Schedule(
        "handbook",
        str(tmp_path / "docs"),
        Timetable(cron="0 3 * * *", timezone="Europe/Berlin"),
        collection="books",
        declared_in=str(file),
    )
    assert found["news"] == Schedule(
        "news",
        "/srv/news",
        Timetable(every_seconds=900, jitter_seconds=30),
        "news",
        "feed",
        "*.md",
        Deletions.NEVER,
        Missed.SKIP,
        Overlap.CANCEL,
        "live",
        4,
        1000,
        0.5,
        str(file),
    )


def test_all_mistakes_are_named(file: Path) -> None:
    """Together, each with its schedule."""
    file.write_text(
        """
        [schedules]
        a = 1
        [schedules.b]
        cron = "0 3 * * *"
        [schedules.c]
        path = "docs"
        evry = "15m"
        [schedules.d]
        path = "docs"
        every = "15 minutes"
        [schedules.e]
        path = "docs"
        every = "15m"
        overlap = "merge"
        """
    )
    with pytest.raises(SettingsError) as caught:
        read_declared(file, "documents")
    problems = dict(zip("abcde", caught.value.problems, strict=True))
    assert "a table is expected" in problems["a"]
    assert "path is missing" in problems["b"]
    assert "unknown: evry" in problems["c"]
    assert "no duration" in problems["d"]
    assert "merge" in problems["e"]
    file.write_text("[schedules")
    with pytest.raises(SettingsError, match=r"headrace\.toml"):
        read_declared(file, "documents")


async def test_they_come_and_go_with_the_file(
    redis: Redis, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Made by hand, a schedule is left alone; what did not change keeps its slots."""
    book = Book(redis)
    by_hand = Schedule("by-hand", "/srv/a", Timetable(every_seconds=60))
    await book.put(by_hand, replace=False)
    declared = Declared(book, file, "documents")
    await declared.keep_up(NOW_MS)
    assert await names(book) == ["by-hand"]

    write(
        file,
        '[schedules.a]\npath="a"\nevery="1h"\n[schedules.b]\npath="b"\nevery="1h"\n'
        '[schedules.by-hand]\npath="c"\nevery="1h"\n',
    )
    with caplog.at_level(logging.ERROR):
        await declared.keep_up(NOW_MS)
    assert "left as it is" in caplog.text
    assert await names(book) == ["a", "b", "by-hand"]
    first = await book.find("a")
    assert first is not None
    assert first.schedule.timetable.anchor_ms == NOW_MS

    revision = await book.revision()
    await declared.keep_up(NOW_MS + 1)
    await Declared(book, file, "documents").keep_up(NOW_MS + 5_000)
    assert await book.revision() == revision

    write(file, '[schedules.a]\npath="other"\nevery="1h"\n')
    await declared.keep_up(NOW_MS + 10_000)
    assert await names(book) == ["a", "by-hand"]
    changed = await book.find("a")
    assert changed is not None
    assert changed.schedule.path.endswith("other")
    assert changed.schedule.timetable == first.schedule.timetable

    write(file, "[schedules.a]\n")
    with caplog.at_level(logging.ERROR):
        await declared.keep_up(NOW_MS + 20_000)
    assert "path is missing" in caplog.records[-1].__dict__["error"]
    assert await names(book) == ["a", "by-hand"]

    await asyncio.to_thread(file.unlink)
    await declared.keep_up(NOW_MS + 30_000)
    left = await book.entries()
    assert [msgspec.structs.replace(entry.schedule) for entry in left] == [by_hand]
