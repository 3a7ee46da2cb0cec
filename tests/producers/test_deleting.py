"""Promises about documents that a source has no more, with a real ledger."""

import shutil

import pytest
from langchain_core.documents import Document

from contract.errors import GuardError
from contract.ids import document_id
from producers.deleting import Deletions, Guard
from producers.document import Omission, Reason
from producers.sources.documents import DocumentSource
from producers.sources.walk import Walk
from tests.producers.mill import COLLECTION, SOURCE, Mill


async def test_what_is_gone_is_deleted(mill: Mill) -> None:
    """Rows and ledger forget a deleted file; the others are untouched, and once is enough."""
    mill.write(a="one", b="two", c="three")
    await mill.bring()
    mill.delete("b")
    producer = await mill.bring()
    assert mill.texts() == {"a": "one", "c": "three"}
    job = await mill.job(producer)
    assert (job.count("documents_deleted"), job.count("documents_unchanged")) == (1, 2)
    assert job.drained
    assert await mill.ledger.promises.count(SOURCE) == 2
    again = await mill.bring()
    assert again.tally.promised == 0
    mill.write(b="two")
    await mill.bring()
    assert mill.texts() == {"a": "one", "b": "two", "c": "three"}


async def test_what_has_no_text_any_more_is_deleted(mill: Mill) -> None:
    """Emptied, blank or binary, a file goes as if it were not there, and counts as skipped."""
    mill.write(a="one", b="two", c="three", d="four")
    await mill.bring()
    mill.write(a="", b=" \n")
    (mill.folder / "c.md").write_bytes(b"\0\1\2")
    producer = await mill.bring()
    assert mill.texts() == {"d": "four"}
    assert producer.tally.skipped == 3
    assert (await mill.job(producer)).count("documents_deleted") == 3


async def test_what_failed_is_kept(mill: Mill) -> None:
    """A file that can't be read now keeps its rows, however often that happens."""
    mill.write(a="one", b="two")
    await mill.bring()
    (mill.folder / "a.md").write_bytes(b"\xef\xbb\xbf\xff")
    for _ in range(2):
        producer = await mill.bring()
        assert producer.tally.failed == 1
        assert mill.texts() == {"a": "one", "b": "two"}


async def test_the_guard_stops_before_the_first_delete(mill: Mill) -> None:
    """Too many deletions: none happens, all else does, the job is sealed and says why."""
    mill.write(**dict.fromkeys("abcdefghij", "text"))
    await mill.bring()
    before = dict(mill.rows)
    mill.delete("a", "b", "c")
    mill.write(d="changed", k="new")
    producer, said = await mill.guarded()
    assert "3 of the 10 documents" in said
    assert "--allow-deletes" in said
    expected = dict.fromkeys("abcefghij", "text") | {"d": "changed", "k": "new"}
    assert mill.texts() == expected
    assert len(before.keys() & mill.rows.keys()) == 9
    assert producer.tally.kept == 3
    job = await mill.job(producer)
    assert job.sealed
    assert job.trouble == said
    await mill.bring(Deletions.ALLOWED)
    assert mill.texts() == {n: t for n, t in expected.items() if n not in "abc"}


async def test_the_guard_lets_few_through(mill: Mill) -> None:
    """A fifth of the documents may go unasked."""
    mill.write(**dict.fromkeys("abcdefghij", "text"))
    await mill.bring()
    mill.delete("a", "b")
    await mill.bring(Deletions.GUARDED)
    assert mill.texts() == dict.fromkeys("cdefghij", "text")


async def test_what_was_promised_before_does_not_trip_the_guard(mill: Mill) -> None:
    """Deletions that were allowed and cut short are finished by an import that is guarded."""
    mill.write(a="one", b="two")
    await mill.bring()
    mill.delete("a", "b")
    left = await mill.publish(mill.producer())
    assert mill.texts(), "nobody has worked yet"
    producer = mill.producer(Deletions.GUARDED)
    assert await mill.publish(producer) == []
    assert len(producer.tally.awaited_jobs) == 1
    await mill.work(left)
    assert mill.texts() == {}


@pytest.mark.parametrize(
    ("share", "gone", "known", "stops"),
    [
        (0.2, 1, 5, False),
        (0.2, 2, 9, True),
        (0.0, 1, 99, True),
        (1.0, 5, 5, False),
        (0.5, 3, 0, True),
    ],
)
def test_shares(share: float, gone: int, known: int, stops: bool) -> None:  # noqa: FBT001
    """More than the share stops it, the share itself does not, and the share may be all."""
    assert Guard(Deletions.GUARDED, share).stops(gone, known) is stops
    assert not Guard(Deletions.ALLOWED, share).stops(gone, known)


async def test_never_keeps_and_counts(mill: Mill) -> None:
    """With deletions off, rows stay, and the tally says how many are kept."""
    mill.write(a="one", b="two")
    await mill.bring()
    mill.delete("a", "b")
    producer = await mill.bring(Deletions.NEVER)
    assert set(mill.texts()) == {"a", "b"}
    assert producer.tally.kept == 2


async def test_an_incomplete_listing_deletes_nothing(
    mill: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that can't be read hides its files; they stay, and others that are gone stay too."""
    mill.write(a="one", b="two")
    await mill.bring()
    mill.delete("a", "b")
    enter = Walk._enter

    def broken(self: Walk, *args: object) -> object:
        omission = Omission(".", Reason.UNREADABLE, "no", failed=True, key_bytes=b"")
        return omission if not args[0] else enter(self, *args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Walk, "_enter", broken)
        producer = await mill.bring()
    assert set(mill.texts()) == {"a", "b"}
    assert producer.tally.incomplete
    assert "incomplete" in (await mill.job(producer)).trouble
    shutil.rmtree(mill.folder)
    mill.folder.mkdir()
    await mill.bring()
    assert mill.texts() == {}


async def test_a_glob_deletes_only_what_it_covers(mill: Mill) -> None:
    """What a listing would not show is not gone because it is not shown."""
    mill.write(a="one", b="two", c="three")
    await mill.bring()
    mill.delete("a", "b")
    await mill.bring(glob="b*")
    assert set(mill.texts()) == {"a", "c"}
    await mill.bring()
    assert set(mill.texts()) == {"c"}


async def test_many_go_in_pages(mill: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page after page, nothing is left and nothing counted twice."""
    monkeypatch.setattr("producers.deleting.PAGE", 50)
    monkeypatch.setattr("contract.ledger.promises.PAGE", 50)
    for number in range(300):
        (mill.folder / f"{number}.md").write_text(f"text {number}")
    await mill.bring()
    assert len(mill.rows) == 300
    for path in mill.folder.iterdir():
        path.unlink()
    producer = mill.producer()
    batches = await mill.publish(producer)
    assert len(batches) >= 6
    await mill.work(batches)
    assert mill.rows == {}
    job = await mill.job(producer)
    assert job.count("documents_deleted") == job.count("documents_committed") == 300
    assert await mill.ledger.promises.count(SOURCE) == 0


async def test_killed_between_promise_and_publication(mill: Mill) -> None:
    """Deletions that were promised and never published are promised again."""
    mill.write(a="one")
    await mill.bring()
    mill.delete("a")
    async for _ in mill.producer().batches():
        break  # and never published
    assert mill.texts() == {"a": "one"}
    await mill.bring()
    assert mill.texts() == {}


async def test_what_another_producer_has_seen_meanwhile_is_not_deleted(mill: Mill) -> None:
    """A file that came after one listing passed, and that another one saw, is not gone."""
    mill.write(a="one", z="last")
    await mill.bring()
    mill.delete("a")
    late = mill.producer()
    planned = late._planned()
    await anext(planned)  # it has listed the folder, without a
    mill.write(a="back")
    await mill.bring()
    assert [batches async for batches in planned if batches] == []
    assert mill.texts() == {"a": "back", "z": "last"}


async def test_a_late_reading_does_not_bring_a_deleted_file_back(mill: Mill) -> None:
    """What was read before the file was deleted, and is promised after that, is read again."""
    mill.write(a="one", b="two")
    await mill.bring()
    mill.write(a="other")
    slow = mill.producer()
    groups = slow._ledger.promises
    original = groups.lookup

    async def late(promises: object, **more: object) -> object:
        mill.delete("a")
        await mill.bring()
        assert mill.texts() == {"b": "two"}
        groups.lookup = original  # type: ignore[method-assign]
        return await original(promises, **more)  # type: ignore[arg-type]

    groups.lookup = late  # type: ignore[method-assign,assignment]
    await mill.work(await mill.publish(slow))
    assert mill.texts() == {"b": "two"}
    assert [failure.reason for failure in slow.tally.omissions] == [Reason.VANISHED]


async def test_a_programs_documents_stay_unless_it_says_that_these_are_all(mill: Mill) -> None:
    """By default a program brings some documents; on demand, all that there are."""

    def documents(*names: str) -> list[Document]:
        return [Document(id=name, page_content=name) for name in names]

    first = mill.producer(source=DocumentSource(SOURCE, documents("x", "y")))
    await mill.work(await mill.publish(first))
    some = mill.producer(source=DocumentSource(SOURCE, documents("y")))
    await mill.work(await mill.publish(some))
    assert sorted(mill.rows.values()) == ["x", "y"]
    assert not some.tally.incomplete
    source = DocumentSource(SOURCE, documents("y"), shows_all=True)
    await mill.work(await mill.publish(mill.producer(source=source)))
    assert sorted(mill.rows.values()) == ["y"]


async def test_a_folder_that_could_be_read_again_is_no_loss(
    mill: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its dead letter goes, no guard is tripped, and its files are as before."""
    (mill.folder / "sub").mkdir()
    (mill.folder / "sub" / "a.md").write_text("one")
    await mill.bring()
    enter = Walk._enter

    def broken(self: Walk, *args: object) -> object:
        omission = Omission("sub", Reason.UNREADABLE, "no", failed=True, key_bytes=b"sub")
        return omission if args[0] == "sub/" else enter(self, *args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Walk, "_enter", broken)
        await mill.bring(Deletions.GUARDED)
    assert await mill.ledger.letters.count() == 1
    await mill.bring(Deletions.GUARDED)
    assert await mill.ledger.letters.count() == 0
    assert await mill.ledger.promises.count(SOURCE) == 1
    assert list(mill.rows.values()) == ["one"]


async def test_letters_of_what_could_not_be_read_go_with_their_reason(mill: Mill) -> None:
    """Mended without a change, or gone: the next complete listing takes the letter away."""
    mill.write(a="one", b="two")
    await mill.bring()
    for name in "abc":
        (mill.folder / f"{name}.md").write_bytes(b"\xef\xbb\xbf\xff")
    await mill.bring()
    assert await mill.ledger.letters.count() == 3
    await mill.bring()
    assert await mill.ledger.letters.count() == 3, "still broken"
    mill.write(a="one")
    mill.delete("c")
    await mill.bring()
    (letter,) = [letter async for letter in mill.ledger.letters.scan()]
    assert letter.document_id == document_id(SOURCE, b"b.md")


async def test_a_guard_of_a_program_comes_after_the_last_batch(mill: Mill) -> None:
    """Who takes batches gets all that is new, then the error."""
    mill.write(a="one")
    await mill.bring()
    mill.delete("a")
    mill.write(b="two")
    taken = []
    with pytest.raises(GuardError):  # noqa: PT012 - the loop is what raises
        async for batch in mill.producer(Deletions.GUARDED).batches():
            taken.append(batch)  # noqa: PERF401 - kept also when the loop raises
    assert [batch.collection for batch in taken] == [COLLECTION]
