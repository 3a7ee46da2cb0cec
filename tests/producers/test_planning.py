"""Promises of the planner, with a real ledger and workers without servers."""

import asyncio
import functools
import os
from collections.abc import AsyncGenerator, Sequence

import pytest
from langchain_core.documents import Document

from contract.batch import Batch
from contract.ids import document_id
from contract.ledger.records import Outcome
from producers import producer as producing
from producers.document import Reason
from producers.drafting import Assignment
from producers.planning import MAX_READINGS
from producers.pool.desk import Drafted
from producers.pool.pool import Pool
from producers.producer import Producer
from producers.reading import GROUP_DOCUMENTS, Group, Reader
from producers.sources.documents import DocumentSource
from tests.producers.mill import SOURCE, Mill


def _keys(batches: list[Batch]) -> list[str]:
    return sorted(str(part.metadata["path"]) for batch in batches for part in batch.parts)


async def test_only_what_is_new_or_changed_is_planned(mill: Mill) -> None:
    """Unchanged documents give no part; a changed one gets a higher version."""
    mill.write(a="one", b="two")
    first = await mill.publish(mill.producer())
    assert _keys(first) == ["a.md", "b.md"]
    await mill.work(first)
    again = await mill.bring()
    assert again.tally.outcomes == {Outcome.UNCHANGED: 2}
    os.utime(mill.folder / "a.md", ns=(1, 1))
    assert await mill.publish(mill.producer()) == [], "another time is no other content"
    mill.write(b="three")
    (batch,) = await mill.publish(mill.producer())
    (part,) = batch.parts
    before = {p.document_id: p.version for b in first for p in b.parts}
    assert part.version > before[part.document_id] > 0
    assert [chunk.text for chunk in part.chunks] == ["three"]


async def test_another_way_to_cut_is_a_change(mill: Mill) -> None:
    """Other options of the splitter give every document a new version."""
    mill.write(a="words " * 50)
    await mill.bring()
    mill.settings = mill.settings.model_copy(update={"chunk_size": 50})
    (batch,) = await mill.publish(mill.producer())
    assert batch.parts[0].chunk_count == 7


async def test_grown_shrunk_gone_and_back(mill: Mill) -> None:
    """Whatever becomes of a document, its rows are those of its newest content."""
    for text in ("w" * 70, "one", "x" * 90, None, "back", "back again " * 9):
        if text is None:
            mill.delete("a")
        else:
            mill.write(a=text)
        await mill.bring()
        found = mill.texts().get("a", "").replace("|", "").replace(" ", "")
        assert found == (text or "").replace(" ", "")
        assert len({row.split(":")[1] for row in mill.rows}) == (text is not None)


async def test_changed_twice_while_the_first_change_is_queued(mill: Mill) -> None:
    """The newest content wins, in whatever order the batches are worked at."""
    for order in (1, -1):
        mill.write(a=f"one {order}")
        await mill.bring()
        mill.write(a=f"two {order}")
        batches = await mill.publish(mill.producer())
        mill.write(a=f"three {order}")
        batches += await mill.publish(mill.producer())
        await mill.work(batches[::order])
        assert mill.texts() == {"a": f"three {order}"}
        assert len(mill.rows) == 1


async def test_published_and_unfinished_documents_are_pending(mill: Mill) -> None:
    """What an earlier job published is left to it, and its job is waited for."""
    mill.write(a="one")
    earlier = mill.producer()
    await mill.publish(earlier)
    later = mill.producer()
    assert await mill.publish(later) == []
    assert later.tally.awaited_jobs == {earlier.job}


async def test_registered_and_unpublished_documents_are_planned_again(mill: Mill) -> None:
    """A producer that died between planning and publishing loses nothing."""
    mill.write(a="one")
    lost = [batch async for batch in mill.producer().batches()]
    (again,) = await mill.publish(mill.producer())
    assert again.parts[0].version > lost[0].parts[0].version


async def test_a_moved_file_names_its_twin(mill: Mill) -> None:
    """A renamed file is a new document whose vectors are there already, and an old one goes."""
    mill.write(a="one")
    await mill.bring()
    (mill.folder / "a.md").rename(mill.folder / "b.md")
    producer = mill.producer()
    batches = await mill.publish(producer)
    (moved,) = batches[0].parts
    assert moved.twin == document_id(SOURCE, b"a.md")
    assert producer.tally.outcomes == {Outcome.NEW: 1, Outcome.DELETED: 1}
    await mill.work(batches)
    assert mill.texts() == {"b": "one"}


async def test_files_that_never_had_text_cost_nothing(mill: Mill) -> None:
    """Empty and unknown files make no document in the ledger."""
    mill.write(a="", b=" \n")
    (mill.folder / "picture.png").touch()
    producer = await mill.bring()
    assert producer.tally.skipped == 3
    assert await mill.redis.keys("*:document:*") == []


async def test_what_can_not_be_parsed_keeps_its_rows(mill: Mill) -> None:
    """A file that broke is a failure and no deletion; the others go on."""
    mill.write(a="good", b="good too")
    await mill.bring()
    (mill.folder / "a.md").write_bytes(b"\xef\xbb\xbf\xff")
    mill.write(b="better")
    producer = await mill.bring()
    assert [left.reason for left in producer.tally.omissions] == [Reason.UNDECODABLE]
    assert mill.texts() == {"a": "good", "b": "better"}


def _documents(*texts: str) -> DocumentSource:
    """Give texts of one document, each in a group of its own, behind others."""
    documents = [
        Document(id=f"{at}-{number}", page_content="other")
        for at in range(len(texts))
        for number in range(GROUP_DOCUMENTS)
    ]
    for at, text in enumerate(texts):
        documents[(at + 1) * GROUP_DOCUMENTS - 1] = Document(id="x", page_content=text)
    return DocumentSource("program", documents)


async def test_what_is_given_twice_ends_as_it_was_given_last(
    mill: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later group is not looked up while an earlier one still has the same document."""
    x = document_id("program", b"x")
    await mill.work(await mill.publish(mill.producer(source=_documents("as ever"))))
    draft, groups = Pool.draft, Reader.groups
    has_come = asyncio.Event()

    async def all_groups(reader: Reader) -> AsyncGenerator[Group]:
        async for group in groups(reader):
            if group.reading > 2:
                has_come.set()
            yield group

    async def draft_late(pool: Pool, assignments: Sequence[Assignment]) -> Drafted:
        await has_come.wait()
        for _ in range(10):
            await asyncio.sleep(0)  # the group is taken
        return await draft(pool, assignments)

    monkeypatch.setattr(Reader, "groups", all_groups)
    monkeypatch.setattr(Pool, "draft", draft_late)
    batches = await mill.publish(mill.producer(source=_documents("in between", "as ever")))
    await mill.work(batches)
    assert [mill.rows[row] for row in mill.rows if row.startswith(x)] == ["as ever"]


@pytest.mark.parametrize("processes", [1, 2])
async def test_batches_come_in_the_order_of_the_listing(
    mill: Mill, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is ready first, and however many are looked up ahead."""
    monkeypatch.setattr(producing, "Pool", functools.partial(Pool, busy_seconds=0))
    mill.settings = mill.settings.model_copy(update={"producer_processes": processes})
    names = [f"{number:04}" for number in range(GROUP_DOCUMENTS + 50)]
    mill.write(**{name: "words " * (1 + int(name) * 7919 % 400) for name in names})
    producer = mill.producer()
    batches = await mill.publish(producer)
    keys = [str(part.metadata["path"]) for batch in batches for part in batch.parts]
    assert list(dict.fromkeys(keys)) == [f"{name}.md" for name in names]
    assert producer.tally.outcomes == {Outcome.NEW: len(names)}
    assert producer.tally.listed == len(names)
    firsts = {(part.document_id, part.first) for batch in batches for part in batch.parts}
    assert len(firsts) == len(keys)


def _behind(mill: Mill, producer: Producer, *texts: str) -> list[str]:
    """Let another producer bring another text each time after this one has read the file."""
    planned: list[str] = []
    promises = producer._ledger.promises
    original = promises.lookup

    async def lookup(documents: object, **more: object) -> object:
        if len(planned) < len(texts):
            planned.append(texts[len(planned)])
            mill.write(a=planned[-1])
            await mill.bring()
        return await original(documents, **more)  # type: ignore[arg-type]

    promises.lookup = lookup  # type: ignore[method-assign,assignment]
    return planned


async def test_an_old_reading_that_arrives_late_loses(mill: Mill) -> None:
    """Two producers at once: what was read earlier and promised later is read again."""
    mill.write(a="old")
    slow = mill.producer()
    _behind(mill, slow, "newest")
    await mill.work(await mill.publish(slow))
    assert mill.texts() == {"a": "newest"}
    assert slow.tally.outcomes == {Outcome.UNCHANGED: 1}
    assert slow.tally.listed == 1


async def test_an_old_reading_loses_to_one_that_found_nothing_changed(mill: Mill) -> None:
    """There and back again: what was read in between does not win over what is there."""
    mill.write(a="as ever")
    await mill.bring()
    mill.write(a="in between")
    slow = mill.producer()
    _behind(mill, slow, "as ever")
    await mill.work(await mill.publish(slow))
    assert mill.texts() == {"a": "as ever"}


async def test_a_document_that_keeps_changing_is_left_to_the_other(mill: Mill) -> None:
    """After some readings it counts as pending, and the other's job is waited for."""
    mill.write(a="old")
    slow = mill.producer()
    texts = [f"text {number}" for number in range(MAX_READINGS)]
    assert _behind(mill, slow, *texts) is not texts
    assert await mill.publish(slow) == []
    assert mill.texts() == {"a": texts[-1]}
    assert slow.tally.outcomes == {Outcome.PENDING: 1}
    assert len(slow.tally.awaited_jobs) == 1


@pytest.mark.parametrize("first", [0, 1])
async def test_interleaved_producers_end_with_what_is_there(mill: Mill, first: int) -> None:
    """Two producers that take turns, while files change between them: the newest state wins."""
    for number in range(8):
        (mill.folder / f"{'abcdefgh'[number]}.md").write_text("old")
    producers = [mill.producer(), mill.producer()]
    turns = [producer.batches() for producer in producers]
    batches = [await anext(turns[first])]
    mill.write(a="new", b="")
    mill.delete("c")
    batches += [batch async for batch in turns[1 - first]]
    batches += [batch async for batch in turns[first]]
    await mill.ledger.publish(batches)
    await mill.work(batches)
    await mill.bring()
    assert mill.texts() == {"a": "new", **dict.fromkeys("defgh", "old")}
