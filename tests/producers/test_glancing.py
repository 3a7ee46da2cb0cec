"""Promises of a run in which little has changed: what is opened, and what never goes unnoticed."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from contract.ids import document_id
from contract.ledger.rebuilding import Rebuilding
from contract.ledger.records import Outcome
from producers.document import Entry, Omission, Reason
from producers.producer import Producer
from producers.sources import regular_file
from producers.sources.files import FileSource, open_source
from producers.unreadable import bury
from tests.producers.mill import COLLECTION, SOURCE, Mill


class Watched:
    """Producers of the mill's folder that note which files they open."""

    def __init__(self, mill: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
        """Note from now on."""
        self.mill = mill
        self.opened: list[str] = []
        read = FileSource.read

        async def noted(source: FileSource, entry: Entry, max_bytes: int) -> bytes:
            self.opened.append(entry.key)
            return await read(source, entry, max_bytes)

        monkeypatch.setattr(FileSource, "read", noted)

    async def bring(self, *, verify_contents: bool = False, works: bool = True) -> Producer:
        """Import, and forget what was opened before."""
        self.opened.clear()
        mill = self.mill
        source = open_source(str(mill.folder), name=SOURCE)
        made = Producer(
            mill.redis, mill.settings, source, COLLECTION, verify_contents=verify_contents
        )
        batches = await mill.publish(made)
        if works:
            await mill.work(batches)
        return made

    def rest(self, *names: str) -> None:
        """Let files lie long enough for their times to be trusted."""
        for name in names:
            _let_lie(self.mill.folder / f"{name}.md")


def _let_lie(path: Path) -> None:
    """Wait until a file is old enough; the clock of an inode can't be set."""
    while time.time_ns() - path.stat().st_ctime_ns < regular_file.RACY_NS:
        time.sleep(0.01)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust files after a moment: so long the clock of this file system may stand still."""
    monkeypatch.setattr(regular_file, "RACY_NS", 50_000_000)


@pytest.fixture
def watched(mill: Mill, monkeypatch: pytest.MonkeyPatch, quick: None) -> Watched:
    """Give a folder of three files that have lain for a while."""
    mill.write(a="one", b="two", c="three")
    found = Watched(mill, monkeypatch)
    found.rest("a", "b", "c")
    return found


async def test_what_has_not_changed_is_not_opened(watched: Watched) -> None:
    """It counts as unchanged, and as seen: nothing of it is deleted."""
    await watched.bring()
    assert sorted(watched.opened) == ["a.md", "b.md", "c.md"]
    again = await watched.bring()
    assert watched.opened == []
    assert again.tally.outcomes == {Outcome.UNCHANGED: 3}
    assert again.tally.counters()["source_bytes"] == len("onetwothree")
    watched.mill.write(b="changed")
    await watched.bring()
    assert watched.opened == ["b.md"]
    assert watched.mill.texts() == {"a": "one", "b": "changed", "c": "three"}


async def test_verified_contents_are_opened(watched: Watched) -> None:
    """All of them, and they are known by their stamps as before."""
    await watched.bring()
    again = await watched.bring(verify_contents=True)
    assert len(watched.opened) == 3
    assert again.tally.outcomes == {Outcome.UNCHANGED: 3}


async def test_a_copy_that_keeps_time_and_size_is_noticed(watched: Watched) -> None:
    """Written into the file, or put in its place: no content hides behind an old time."""
    await watched.bring()
    path = watched.mill.folder / "a.md"
    before = path.stat()
    path.write_text("ONE")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    other = watched.mill.folder / "other"
    other.write_text("TWO")
    before = (watched.mill.folder / "b.md").stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(watched.mill.folder / "b.md")
    watched.rest("a", "b")
    await watched.bring()
    assert watched.mill.texts() == {"a": "ONE", "b": "TWO", "c": "three"}


async def test_a_file_that_has_just_changed_is_not_trusted(
    mill: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may change again at the same time: it is opened until it has rested."""
    monkeypatch.setattr(regular_file, "RACY_NS", 10**15)
    watched = Watched(mill, monkeypatch)
    mill.write(a="one")
    for _ in range(2):
        await watched.bring()
        assert watched.opened == ["a.md"]
    monkeypatch.setattr(regular_file, "RACY_NS", 50_000_000)
    watched.rest("a")
    await watched.bring()
    assert watched.opened == ["a.md"], "what was not trusted is not remembered"
    await watched.bring()
    assert watched.opened == []


def test_when_a_stamp_is_given(tmp_path: Path) -> None:
    """Not within two seconds of a change, nor for a time that is yet to come."""
    path = tmp_path / "a.md"
    path.write_text("one")
    status = path.stat()
    changed = max(status.st_mtime_ns, status.st_ctime_ns)
    assert regular_file.stamp(status, changed) == ""
    assert regular_file.stamp(status, changed + 2 * 10**9 - 1) == ""
    assert regular_file.stamp(status, changed + 2 * 10**9) != ""
    assert regular_file.stamp(status, changed - 10**12) == ""


async def test_another_way_to_cut_opens_everything(watched: Watched) -> None:
    """A stamp speaks of a content that was cut in one way."""
    await watched.bring()
    mill = watched.mill
    mill.settings = mill.settings.model_copy(update={"chunk_size": 30})
    again = await watched.bring()
    assert len(watched.opened) == 3
    assert again.tally.outcomes == {Outcome.CHANGED: 3}
    await watched.bring()
    assert watched.opened == []


async def test_what_is_promised_and_not_through_is_pending(watched: Watched) -> None:
    """Its job is waited for; it need not be opened for that."""
    first = await watched.bring(works=False)
    second = await watched.bring()
    assert watched.opened == []
    assert second.tally.outcomes == {Outcome.PENDING: 3}
    assert second.tally.awaited_jobs == {first.job}


async def test_what_was_never_published_is_opened(watched: Watched) -> None:
    """A producer that died between promise and publication has left stamps behind."""
    source = open_source(str(watched.mill.folder), name=SOURCE)
    lost = Producer(watched.mill.redis, watched.mill.settings, source, COLLECTION)
    assert [batch async for batch in lost.batches()]
    again = await watched.bring()
    assert len(watched.opened) == 3
    assert again.tally.promised == 3


async def test_a_document_with_a_dead_letter_is_opened(watched: Watched) -> None:
    """Whether it can be read again shows only when it is read; then it loses its letter."""
    mill = watched.mill
    await watched.bring()
    reason = "of no file: it could not be read for a while"
    letter = await _bury(mill, "a", reason)
    await watched.bring()
    assert watched.opened == ["a.md"]
    assert await mill.ledger.letters.get([letter]) == []
    await watched.bring()
    assert watched.opened == []


async def _bury(mill: Mill, name: str, message: str) -> str:
    key = f"{name}.md"
    failure = Omission(key, Reason.UNREADABLE, message, failed=True, key_bytes=key.encode())
    await bury(mill.ledger.letters, SOURCE, "job", [failure])
    found = document_id(SOURCE, key.encode())
    assert await mill.ledger.letters.get([found])
    return found


async def test_a_document_that_is_to_be_repaired_is_opened(watched: Watched) -> None:
    """Verification found its rows wrong: what the file looks like does not matter then."""
    await watched.bring()
    rebuilding = Rebuilding(watched.mill.redis, COLLECTION)
    states = await rebuilding.states([document_id(SOURCE, b"a.md")])
    assert await rebuilding.invalidate(states) == [True]
    again = await watched.bring()
    assert watched.opened == ["a.md"]
    assert again.tally.outcomes[Outcome.CHANGED] == 1


async def test_a_file_that_went_and_came_back_is_opened(watched: Watched) -> None:
    """Its deletion has taken its stamp away, whatever its times are."""
    mill = watched.mill
    await watched.bring()
    mill.settings = mill.settings.model_copy(update={"max_delete_share": 1.0})
    away = mill.folder.parent / "a.md"
    (mill.folder / "a.md").rename(away)
    await watched.bring()
    assert set(mill.texts()) == {"b", "c"}
    away.rename(mill.folder / "a.md")
    await watched.bring()
    assert mill.texts()["a"] == "one"


async def test_an_entry_without_a_stamp_is_never_known(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a source that can't tell, everything is read, as before."""

    def no_stamp(*_: Sequence[object]) -> str:
        return ""

    monkeypatch.setattr(regular_file, "stamp", no_stamp)
    for _ in range(2):
        await watched.bring()
        assert len(watched.opened) == 3
