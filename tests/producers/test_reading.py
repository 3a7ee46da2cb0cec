"""Promises of reading in groups."""

import asyncio
import itertools
from pathlib import Path

from langchain_core.documents import Document

from producers.document import Entry, Omission, Reason
from producers.reading import GROUP_DOCUMENTS, Group, Reader, grouped
from producers.sources.documents import DocumentSource
from producers.sources.files import open_source
from producers.sources.source import Source


def _reader(source: Source, max_bytes: int = 1_000) -> Reader:
    numbers = itertools.count(1)

    async def begin_reading() -> int:
        return next(numbers)

    return Reader(source, max_bytes, begin_reading)


def _library(folder: Path, count: int) -> Source:
    for number in range(count):
        (folder / f"{number:03}.md").write_text(f"text {number}")
    return open_source(str(folder))


async def _groups(reader: Reader) -> list[Group]:
    return [group async for group in reader.groups()]


async def test_everything_listed_is_in_one_group(tmp_path: Path) -> None:
    """What can be read is loaded, what can't is named, and each group has a number of its own."""
    source = _library(tmp_path, GROUP_DOCUMENTS + 1)
    (tmp_path / "big.md").write_text("x" * 2_000)
    (tmp_path / "empty.md").touch()
    groups = await _groups(_reader(source))
    assert [group.reading for group in groups] == [1, 2]
    assert sum(group.listed for group in groups) == GROUP_DOCUMENTS + 3
    loaded = [item.entry.key for group in groups for item in group.loaded]
    assert loaded == sorted(f"{number:03}.md" for number in range(GROUP_DOCUMENTS + 1))
    omitted = {o.key: o.reason for group in groups for o in group.omitted}
    assert omitted == {"big.md": Reason.TOO_BIG, "empty.md": Reason.EMPTY}
    texts = (f"text {number}" for number in range(GROUP_DOCUMENTS + 1))
    assert sum(group.size_bytes for group in groups) == sum(map(len, texts))


async def test_the_number_is_taken_before_the_first_read(tmp_path: Path) -> None:
    """What changes after a number was taken may be read under it, never the other way round."""
    source = _library(tmp_path, 1)

    async def begin_reading() -> int:
        await asyncio.to_thread((tmp_path / "000.md").write_text, "newer")
        return 7

    (group,) = await _groups(Reader(source, 1_000, begin_reading))
    assert (group.reading, group.loaded[0].data) == (7, b"newer")


async def test_read_again(tmp_path: Path) -> None:
    """A second reading has another number, and what is there now."""
    reader = _reader(_library(tmp_path, 3))
    (group,) = await _groups(reader)
    (tmp_path / "000.md").write_text("newer")
    (tmp_path / "001.md").unlink()
    again = await reader.again(group.loaded[:2])
    assert again.reading == 2
    assert [item.data for item in again.loaded] == [b"newer"]
    assert [o.reason for o in again.omitted] == [Reason.VANISHED]


async def test_what_a_program_gave_stays_what_it_was() -> None:
    """A program's document can't be read twice; it is given again under the new number."""
    reader = _reader(DocumentSource("program", [Document(id="x", page_content="text")]))
    (group,) = await _groups(reader)
    again = await reader.again(group.loaded)
    assert again.reading == 2
    assert list(again.loaded) == list(group.loaded)
    assert list(again.omitted) == []


def test_groups_keep_order_and_limits() -> None:
    """Every item is in one group, in order; a group has few items and few bytes."""

    def entry(number: int, size: int) -> Entry:
        return Entry(f"{number}", b"%d" % number, None, size, 0)

    sizes = [5, 5, 5, 30, 1, 1, 1, 1, 1]
    listed: list[Entry | Omission] = [entry(n, size) for n, size in enumerate(sizes)]
    found = list(grouped(listed, 4, 10))
    assert [item for group in found for item in group] == listed
    assert [[sizes[listed.index(item)] for item in group] for group in found] == [
        [5, 5],
        [5],
        [30],
        [1, 1, 1, 1],
        [1],
    ]
    assert list(grouped([], 4, 10)) == []
