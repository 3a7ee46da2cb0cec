"""Streams on their way into the ledger: nothing acknowledged that it does not have."""

import asyncio
from typing import cast

import pytest
from celery import Celery
from redis.asyncio import Redis

from contract.batch import decode
from contract.errors import CancelledJobError
from contract.lane import Lane
from contract.ledger.connection import text
from contract.ledger.control import Halt, JobControl
from contract.ledger.ledger import Ledger
from contract.ledger.records import Outcome
from contract.settings import Settings
from producers.sources.stream import Haul
from tests.producers.brook import COLLECTION, SOURCE, Bank, Brook, item, settled, silence

NO_APP = cast("Celery", None)


@pytest.fixture
def bank(redis: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """Give a ledger; documents are cut into short chunks."""
    silence(monkeypatch)
    short = {"chunk_unit": "characters", "chunk_size": 20, "chunk_overlap": 0}
    return Bank(redis, settings.model_copy(update=short))


async def test_documents_come_change_and_go(bank: Bank) -> None:
    """What is new is brought, what is the same costs nothing, what is deleted goes."""
    first = await bank.bring([item(id="a", text="one"), item(id="b", text="two")])
    assert bank.texts() == {"a": ["one"], "b": ["two"]}
    second = await bank.bring(
        [item(id="a", text="one"), item(id="b", text="other"), item(id="c", deleted=True)]
    )
    assert bank.texts() == {"a": ["one"], "b": ["other"]}
    assert first.tally.outcomes == {Outcome.NEW: 2}
    assert second.tally.outcomes == {
        Outcome.UNCHANGED: 1,
        Outcome.CHANGED: 1,
        Outcome.DELETED: 1,
    }
    third = await bank.bring([item(id="a", deleted=True), item(id="b", text="  ")])
    assert bank.texts() == {}
    assert third.tally.outcomes == {Outcome.DELETED: 2}
    job = await bank.job(third)
    assert (job.sealed, job.drained, job.count("documents_listed")) == (True, True, 2)


async def test_what_is_metadata_alone_changes_the_document(bank: Bank) -> None:
    """So does a vector."""
    await bank.bring([item(id="a", text="one", metadata={"n": 1})])
    again = await bank.bring([item(id="a", text="one", metadata={"n": 2})])
    assert again.tally.outcomes == {Outcome.CHANGED: 1}
    again = await bank.bring([item(id="a", text="one", metadata={"n": 2}, vector=[1, 2, 3])])
    assert again.tally.outcomes == {Outcome.CHANGED: 1}
    again = await bank.bring([item(id="a", text="one", metadata={"n": 2}, vector=[1, 2, 4])])
    assert again.tally.outcomes == {Outcome.CHANGED: 1}
    again = await bank.bring([item(id="a", text="one", metadata={"n": 2}, vector=[1, 2, 4.0])])
    assert again.tally.outcomes == {Outcome.UNCHANGED: 1}


async def test_the_last_of_an_id_wins(bank: Bank) -> None:
    """In one haul and from haul to haul, also where it is deleted in between."""
    producer = await bank.bring(
        [item("line 1", id="a", text="one"), item("line 2", id="a", text="two")],
        [item("line 3", id="a", deleted=True), item("line 4", id="b", text="three")],
        [item("line 5", id="a", text="four"), item("line 6", id="b", deleted=True)],
    )
    assert bank.texts() == {"a": ["four"]}
    (left_out,) = producer.tally.omissions
    assert (left_out.reason, left_out.message) == (
        "repeated",
        "line 1: line 2 has the same id, and counts",
    )


async def test_a_long_text_is_cut_and_a_given_one_is_not(bank: Bank) -> None:
    """A vector belongs to a whole text."""
    long = "The wheel turns. The stones grind."
    brook = Brook(
        waiting=[Haul([item(id="a", text=long), item(id="b", text=long, vector=[1, 2, 3])])]
    )
    producer = bank.producer(brook=brook)
    await producer.run(NO_APP)
    (batch_id,) = await bank.redis.zrange(bank.ledger.keys.waiting, 0, -1)
    payload = await bank.redis.hget(bank.ledger.keys.batch(text(batch_id)), "payload")
    assert isinstance(payload, bytes)
    batch = decode(payload)
    assert [len(part.chunks) for part in batch.parts] == [2, 1]
    assert [part.brings_vectors for part in batch.parts] == [False, True]
    assert batch.lane is Lane.LIVE, "a haul that is not full does not wait behind others"


async def test_what_is_wrong_becomes_a_letter_and_the_others_go_on(bank: Bank) -> None:
    """A good one of the same id takes the letter away."""
    wrong = item("line 3", id="a", text="t", vector=[1])
    nameless = item("line 4", text="t")
    producer = await bank.bring([item(id="b", text="two"), wrong, nameless])
    assert bank.texts() == {"b": ["two"]}
    (letter,) = [letter async for letter in bank.ledger.letters.scan()]
    assert (letter.key, letter.stage, letter.reason) == ("a", "read", "wrong_vector")
    assert letter.message.startswith("line 3: ")
    assert producer.tally.failed == 2
    assert [omission.key for omission in producer.tally.omissions] == ["a", "line 4"]
    await bank.bring([item(id="a", text="t", vector=[1, 2, 3])])
    assert [letter async for letter in bank.ledger.letters.scan()] == []


async def test_it_is_acknowledged_once_the_ledger_has_it(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not when it was only promised: killed there, it comes again."""
    brook = Brook()
    producer = bank.producer([item(id="a", text="one")], [item(id="b", text="two")], brook=brook)

    async def kill(*_: object) -> list[str]:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "publish", kill)
        with pytest.raises(RuntimeError, match="killed"):
            await producer.run(NO_APP)
    assert brook.acknowledged == []
    again = Brook()
    await bank.bring([item(id="a", text="one")], [item(id="b", text="two")], brook=again)
    assert bank.texts() == {"a": ["one"], "b": ["two"]}
    assert len(again.acknowledged) == 2


async def test_a_cancelled_job_acknowledges_nothing_more(bank: Bank) -> None:
    """What was not published is not done."""
    brook = Brook()
    producer = bank.producer([item(id="a", text="one")], brook=brook)
    await producer.begin()
    await JobControl(bank.redis, COLLECTION).halt(producer.job, Halt.CANCELLED)
    with pytest.raises(CancelledJobError):
        await producer.run(NO_APP)
    assert brook.acknowledged == []


async def test_an_older_entry_does_not_replace_a_newer_one(bank: Bank) -> None:
    """Whoever of two that read the same stream is slower: the newest entry wins."""
    await bank.bring([item("entry 9-10", "9-10", id="a", text="new")])
    late = Brook()
    producer = await bank.bring([item("entry 9-9", "9-9", id="a", text="old")], brook=late)
    assert bank.texts() == {"a": ["new"]}
    assert [omission.reason for omission in producer.tally.omissions] == ["outdated"]
    assert producer.tally.failed == 0
    assert len(late.acknowledged) == 1, "it need not come again"
    await bank.bring([item("entry 10-0", "10-0", id="a", text="newer")])
    assert bank.texts() == {"a": ["newer"]}


async def test_an_older_entry_does_not_bring_a_deleted_document_back(bank: Bank) -> None:
    """Also where the deletion came first, and there was nothing yet to delete."""
    await bank.bring([item("entry 2-0", "2-0", id="a", deleted=True)])
    await bank.bring([item("entry 1-0", "1-0", id="a", text="old")])
    assert bank.texts() == {}
    await bank.bring([item("entry 3-0", "3-0", id="a", text="new")])
    assert bank.texts() == {"a": ["new"]}
    await bank.bring([item("entry 2-0", "2-0", id="a", deleted=True)])
    assert bank.texts() == {"a": ["new"]}


async def test_an_unchanged_entry_is_newer_all_the_same(bank: Bank) -> None:
    """A, B, A: the B that comes last was overtaken by an A that changed nothing."""
    await bank.bring([item("entry 1-0", "1-0", id="a", text="A")])
    await bank.bring([item("entry 3-0", "3-0", id="a", text="A")])
    await bank.bring([item("entry 2-0", "2-0", id="a", text="B")])
    assert bank.texts() == {"a": ["A"]}


async def test_the_same_entry_again_changes_nothing(bank: Bank) -> None:
    """It was published, and its acknowledgement was lost."""
    await bank.bring([item("entry 1-0", "1-0", id="a", text="A")])
    again = await bank.bring([item("entry 1-0", "1-0", id="a", text="A")])
    assert again.tally.outcomes == {Outcome.UNCHANGED: 1}


async def test_a_stream_counts_as_seen_haul_by_haul(bank: Bank) -> None:
    """Unchanged or new, a document that comes is seen by the haul that it came in."""
    await bank.bring([item(id="a", text="one"), item(id="b", text="two")])
    promises = bank.ledger.promises
    now = await promises.begin_listing(SOURCE, "a brook")
    assert await promises.count_unseen(SOURCE, now) == 2
    await bank.bring([item(id="b", text="two")])
    assert await promises.count_unseen(SOURCE, now) == 1


async def test_no_more_than_one_haul_is_read_ahead(bank: Bank) -> None:
    """Where workers are slow, the stream waits, and memory is flat."""
    brook = Brook()
    settings = bank.settings.model_copy(update={"max_unfinished_batches": 1, "live_batches": 0})
    slow = Bank(bank.redis, settings)
    producer = slow.producer(*[[item(id=key, text=key)] for key in "abcdefgh"], brook=brook)
    running = asyncio.create_task(producer.run(NO_APP))
    await settled(lambda: len(brook.acknowledged) >= 1)
    await asyncio.sleep(0.3)
    assert len(brook.acknowledged) == 1
    assert len(brook.waiting) == 5
    while not running.done():
        await slow.worker.drain()
        await asyncio.sleep(0.01)
    await running
    await slow.worker.drain()
    assert len(slow.texts()) == 8


async def test_a_letter_speaks_of_the_last_line_of_its_id(bank: Bank) -> None:
    """A good one before it is brought in and leaves it; a good one after it takes it away."""
    good, bad = item("line 1", id="a", text="one"), item("line 2", id="a", text=5)
    await bank.bring([good, bad])
    assert bank.texts() == {"a": ["one"]}
    (letter,) = [letter async for letter in bank.ledger.letters.scan()]
    assert letter.message.startswith("line 2: ")
    producer = await bank.bring([bad, good])
    assert producer.tally.failed == 1, "it is told all the same"
    assert [letter async for letter in bank.ledger.letters.scan()] == []


async def test_of_two_who_read_at_once_the_later_reader_is_believed(bank: Bank) -> None:
    """Where there are no places, the time of reading counts."""
    slow = bank.producer([item(id="a", text="early")])
    begin = slow._ledger.promises.begin_reading

    async def overtaken(source: str) -> int:
        reading = await begin(source)
        await bank.bring([item(id="a", text="late")])
        return reading

    slow._ledger.promises.begin_reading = overtaken  # type: ignore[method-assign]
    await slow.run(NO_APP)
    await bank.worker.drain()
    assert bank.texts() == {"a": ["late"]}
    assert [omission.reason for omission in slow.tally.omissions] == ["outdated"]
