"""Promises of the planner, with a real ledger."""

import os
from pathlib import Path

from redis.asyncio import Redis

from contract.batch import Batch, Part
from contract.ids import document_id
from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import Finish, PartMark, Verdict
from producers.document import Entry, Omission, Reason
from producers.planning import Loaded, Planner, groups
from producers.sources.files import open_source
from producers.splitting import SplitOptions
from producers.tally import Tally

_OPTIONS = SplitOptions(100, 10)


class _Shelf:
    """A folder, its ledger, and what a producer does with them."""

    def __init__(self, folder: Path, redis: Redis) -> None:
        self.folder = folder
        self.ledger = Ledger(redis, "shelf")
        self.jobs = Jobs(redis, "shelf")
        self.tally = Tally()
        self.job = ""

    async def plan(self, options: SplitOptions = _OPTIONS) -> list[Part]:
        """List, read and plan all files on behalf of a new job."""
        source = open_source(str(self.folder), name="shelf")
        self.tally = Tally()
        self.job = await self.jobs.create("shelf")
        listing = await self.ledger.begin_listing("shelf", source.origin)
        planner = Planner(self.ledger, source, options, self.tally, job=self.job, listing=listing)
        listed = list(source.listing())
        loaded = [
            Loaded(entry, await source.read(entry, 1_000_000))
            for entry in listed
            if isinstance(entry, Entry)
        ]
        omissions = [item for item in listed if isinstance(item, Omission)]
        self.tally.listed = len(listed)
        return await planner.plan(loaded, omissions)

    async def publish(self, parts: list[Part]) -> list[Batch]:
        """Write one batch for each part down."""
        batches = [Batch(collection="shelf", job=self.job, parts=(part,)) for part in parts]
        await self.ledger.publish(batches)
        return batches

    async def ingest(self, parts: list[Part]) -> list[Verdict]:
        """Publish parts and do what workers do, without the rows."""
        verdicts = []
        for batch in await self.publish(parts):
            (part,) = batch.parts
            await self.ledger.claim(batch.id, f"worker:{batch.id}", 30.0)
            mark = PartMark(part.document_id, part.version, part.first, part.units)
            (settled,) = await self.ledger.settle([mark])
            finish = Finish((mark,), (settled.verdict,), len(part.chunks), 0)
            await self.ledger.finish(batch.id, self.job, finish)
            verdicts.append(settled.verdict)
        return verdicts

    def write(self, key: str, text: str) -> None:
        """Write a file."""
        (self.folder / key).write_text(text)


def _keys(parts: list[Part]) -> list[str]:
    return sorted(str(part.metadata["path"]) for part in parts)


async def test_only_what_is_new_or_changed_is_planned(tmp_path: Path, redis: Redis) -> None:
    """Unchanged documents give no part; a changed one gets a higher version."""
    shelf = _Shelf(tmp_path, redis)
    shelf.write("a.md", "one")
    shelf.write("b.md", "two")
    first = await shelf.plan()
    assert _keys(first) == ["a.md", "b.md"]
    assert all(part.version > 0 for part in first)
    await shelf.ingest(first)
    assert await shelf.plan() == []
    assert shelf.tally.counters()["documents_unchanged"] == 2
    os.utime(tmp_path / "a.md", ns=(1, 1))
    assert await shelf.plan() == [], "another time is no other content"
    shelf.write("b.md", "three")
    (changed,) = await shelf.plan()
    (before,) = [part for part in first if part.document_id == changed.document_id]
    assert changed.version > before.version
    assert [chunk.text for chunk in changed.chunks] == ["three"]


async def test_another_way_to_cut_is_a_change(tmp_path: Path, redis: Redis) -> None:
    """Other options of the splitter give every document a new version."""
    shelf = _Shelf(tmp_path, redis)
    shelf.write("a.md", "words " * 50)
    await shelf.ingest(await shelf.plan())
    (part,) = await shelf.plan(SplitOptions(50, 10))
    assert part.chunk_count > 3


async def test_published_and_unfinished_documents_are_pending(tmp_path: Path, redis: Redis) -> None:
    """What an earlier job published is left to it, and its job is waited for."""
    shelf = _Shelf(tmp_path, redis)
    shelf.write("a.md", "one")
    await shelf.publish(await shelf.plan())
    earlier = shelf.job
    assert await shelf.plan() == []
    assert shelf.tally.awaited_jobs == {earlier}


async def test_registered_and_unpublished_documents_are_planned_again(
    tmp_path: Path, redis: Redis
) -> None:
    """A producer that died between planning and publishing loses nothing."""
    shelf = _Shelf(tmp_path, redis)
    shelf.write("a.md", "one")
    (lost,) = await shelf.plan()
    (again,) = await shelf.plan()
    assert again.version > lost.version


async def test_emptied_documents_are_deleted_once(tmp_path: Path, redis: Redis) -> None:
    """A file whose text has gone, in whatever way, deletes its rows; then it is just skipped."""
    shelf = _Shelf(tmp_path, redis)
    keys = ("blank.md", "binary.md", "fifo.md", "zero.md")
    for key in keys:
        shelf.write(key, "text")
    await shelf.ingest(await shelf.plan())
    shelf.write("blank.md", " \n")
    (tmp_path / "binary.md").write_bytes(b"\0\1\2")
    (tmp_path / "fifo.md").unlink()
    os.mkfifo(tmp_path / "fifo.md")
    shelf.write("zero.md", "")
    parts = await shelf.plan()
    assert _keys(parts) == sorted(keys)
    assert {part.chunks for part in parts} == {()}
    assert shelf.tally.skipped == 0
    assert await shelf.ingest(parts) == [Verdict.COMMIT] * 4
    assert await shelf.plan() == []
    assert shelf.tally.skipped == 4
    shelf.write("zero.md", "back")
    (back,) = await shelf.plan()
    assert [chunk.text for chunk in back.chunks] == ["back"]


async def test_files_that_never_had_text_cost_nothing(tmp_path: Path, redis: Redis) -> None:
    """Empty and unknown files make no document in the ledger."""
    shelf = _Shelf(tmp_path, redis)
    shelf.write("empty.md", "")
    shelf.write("blank.md", " \n")
    shelf.write("picture.png", "")
    assert await shelf.plan() == []
    assert shelf.tally.skipped == 3
    assert await redis.keys("*:document:*") == []


async def test_what_can_not_be_parsed_keeps_its_rows(tmp_path: Path, redis: Redis) -> None:
    """A file that broke is a failure and no deletion; the others go on."""
    shelf = _Shelf(tmp_path, redis)
    shelf.write("a.md", "good")
    shelf.write("b.md", "good too")
    await shelf.ingest(await shelf.plan())
    (tmp_path / "a.md").write_bytes(b"\xef\xbb\xbf\xff")
    shelf.write("b.md", "better")
    (part,) = await shelf.plan()
    assert part.metadata["path"] == "b.md"
    assert [failure.reason for failure in shelf.tally.failures] == [Reason.UNDECODABLE]
    fields = await redis.hgetall(shelf.ledger.keys.document(document_id("shelf", b"a.md")))
    assert fields[b"wanted"] == fields[b"committed"]
    assert fields[b"committed_count"] == b"1"


def test_groups_keep_order_and_limits() -> None:
    """Every item is in one group, in order; a group has few items and few bytes."""

    def entry(number: int, size: int) -> Entry:
        return Entry(f"{number}", b"%d" % number, None, size, 0)

    sizes = [5, 5, 5, 30, 1, 1, 1, 1, 1]
    listed = [entry(number, size) for number, size in enumerate(sizes)]
    found = list(groups(listed, 4, 10))
    assert [item for group in found for item in group] == listed
    assert [[sizes[listed.index(item)] for item in group] for group in found] == [  # type: ignore[arg-type]
        [5, 5],
        [5],
        [30],
        [1, 1, 1, 1],
        [1],
    ]
    assert list(groups([], 4, 10)) == []
