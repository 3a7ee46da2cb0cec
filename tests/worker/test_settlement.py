"""The end of a batch: letters, deletions, the commit, and being killed between them."""

import asyncio

import msgspec
import pytest

from contract.batch import decode
from contract.errors import UnreachableError
from tests.worker.rig import Hook, Rig, kill
from worker import dead_letters
from worker.outcome import Outcome


def whole(payload: bytes) -> list[str]:
    """Read the texts of a letter's only part."""
    (part,) = decode(payload).parts
    assert part.first == 0
    assert len(part.chunks) == part.chunk_count
    return [chunk.text for chunk in part.chunks]


ORDERS = [(0, 1, 2), (2, 1, 0), (1, 0, 2)]


@pytest.mark.parametrize("order", ORDERS)
async def test_a_letter_holds_the_whole_document(rig: Rig, order: tuple[int, ...]) -> None:
    """A chunk of one batch is poison; whichever batch is last, one letter has all chunks."""
    await rig.ingest(await rig.shop.order(one="old"))
    ids = await rig.shop.pieces(2, one="a poison b c d")
    for at in order:
        assert await rig.ingest(ids[at]) is Outcome.FINISHED
    assert rig.shop.rows() == {"one": ["old"]}
    (letter,) = await rig.shop.letters()
    assert whole(letter.payload) == ["a", "poison", "b", "c", "d"]
    assert letter.ordinals == (1,)
    assert (letter.document_id, letter.source, letter.key) == ("one", "books", "one.md")
    assert (letter.key_bytes, letter.chunk_count, letter.job) == (b"one.md", 5, rig.shop.job)
    assert (letter.reason, letter.stage) == ("EmbeddingRefusedError", "embed")
    assert await rig.shop.count("documents_failed") == 1
    assert await rig.shop.finished()


async def test_a_letter_gives_back_what_was_published(rig: Rig) -> None:
    """Chunks that were read back from Milvus are the ones that were written, in all they have."""
    (part,) = await rig.shop.parts(one="a b poison")
    chunks = tuple(
        msgspec.structs.replace(chunk, start=7 * at, headings=("Mill", f"Wheel {at}"))
        for at, chunk in enumerate(part.chunks)
    )
    part = msgspec.structs.replace(part, chunks=chunks)
    for first in range(3):
        cut = msgspec.structs.replace(part, first=first, chunks=chunks[first : first + 1])
        await rig.ingest(await rig.shop.publish(cut))
    (letter,) = await rig.shop.letters()
    assert decode(letter.payload).parts == (part,)


async def test_poison_in_several_batches_is_one_letter(rig: Rig) -> None:
    """All chunks that are to blame are named, and each is there once."""
    for batch_id in await rig.shop.pieces(2, one="poison a poison2 b poison3"):
        await rig.ingest(batch_id)
    (letter,) = await rig.shop.letters()
    assert letter.ordinals == (0, 2, 4)
    assert whole(letter.payload) == ["poison", "a", "poison2", "b", "poison3"]


BETWEEN: dict[str, tuple[str, str]] = {
    "settle and letter": ("before", "read"),
    "letter and delete": ("before", "delete"),
    "delete and finish": ("after", "delete"),
}


def hook(rig: Rig, where: str, then: Hook) -> None:
    """Let something happen there, once."""
    when, name = BETWEEN[where]
    getattr(rig, when)[name].append(then)


@pytest.mark.parametrize("where", BETWEEN)
async def test_a_withdrawal_survives_a_kill(rig: Rig, where: str) -> None:
    """Killed between any two of its steps, the next worker brings it to the same end."""
    await rig.ingest(await rig.shop.order(one="old", two="x"))
    first, last = await rig.shop.pieces(2, one="a b poison c")
    await rig.ingest(first)
    rig.before["read"].append(nothing)  # the look for vectors
    hook(rig, where, kill)
    await rig.killed_in(last)
    assert await rig.ingest(last) is Outcome.FINISHED
    assert rig.shop.rows() == {"one": ["old"], "two": ["x"]}
    (letter,) = await rig.shop.letters()
    assert whole(letter.payload) == ["a", "b", "poison", "c"]
    assert await rig.shop.count("documents_failed") == 1
    assert await rig.shop.finished()


async def nothing() -> None:
    """Let nothing happen."""


@pytest.mark.parametrize("where", ["letter and delete", "delete and finish"])
async def test_a_commit_survives_a_kill(rig: Rig, where: str) -> None:
    """Killed around the deletion of the old rows, the next worker commits; counted once."""
    await rig.ingest(await rig.shop.order(one="a b c"))
    batch_id = await rig.shop.order(one="x y")
    hook(rig, where, kill)
    await rig.killed_in(batch_id)
    assert await rig.ingest(batch_id) is Outcome.FINISHED
    assert rig.shop.rows() == {"one": ["x", "y"]}
    assert await rig.shop.count("documents_committed") == 2
    assert await rig.shop.count("chunks_written") == 5


@pytest.mark.parametrize("where", ["letter and delete", "delete and finish"])
async def test_a_late_look_does_not_spoil_the_letter(rig: Rig, where: str) -> None:
    """One worker stands between settling and reading while another does all the rest."""
    first, last = await rig.shop.pieces(2, one="a b poison c")
    await rig.ingest(first)

    async def overtake() -> None:
        if where == "letter and delete":
            hook(rig, where, kill)
        await rig.shop.ledger.sweep(silent_owner="w:")
        other = asyncio.create_task(rig.make("other:").ingest(rig.shop.collection, last))
        await asyncio.wait([other])
        other.exception()

    rig.before["read"].append(overtake)
    await rig.ingest(last)
    (letter,) = await rig.shop.letters()
    assert whole(letter.payload) == ["a", "b", "poison", "c"]
    assert rig.shop.rows() == {}


async def test_a_large_document_is_not_kept(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its letter says so, and has everything but the text."""
    monkeypatch.setattr(dead_letters, "LARGEST_TEXT_BYTES", 10)
    for batch_id in await rig.shop.pieces(2, one="aaaa bbbb poison c"):
        await rig.ingest(batch_id)
    (letter,) = await rig.shop.letters()
    assert letter.payload == b""
    assert "too large" in letter.message
    assert letter.ordinals == (2,)


async def test_siblings_that_are_not_there_are_told(rig: Rig) -> None:
    """Rows that someone else took out leave a letter without text, which says so."""
    first, last = await rig.shop.pieces(2, one="a b poison c")
    await rig.ingest(first)
    rig.shop.client.delete(f"{rig.shop.collection}_1", filter="ordinal >= 0")
    await rig.ingest(last)
    (letter,) = await rig.shop.letters()
    assert letter.payload == b""
    assert "can't be read back" in letter.message


async def test_siblings_that_can_not_be_read_are_waited_for(rig: Rig) -> None:
    """The batch is given back; only when it is worn out the letter goes without text."""
    first, last = await rig.shop.pieces(2, one="a b poison c")
    await rig.ingest(first)

    async def fail() -> None:
        raise UnreachableError("away")

    rig.before["read"] += [fail] * 3
    assert await rig.ingest(last) is Outcome.GIVEN_BACK
    assert await rig.shop.letters() == []
    await rig.worn_out(last)
    rig.before["read"] += [fail] * 3
    await rig.until_finished(last)
    (letter,) = await rig.shop.letters()
    assert letter.payload == b""


async def test_a_newer_version_buries_no_letter(rig: Rig) -> None:
    """What was withdrawn while a newer version was promised is of no interest."""
    old = await rig.shop.order(one="poison")
    newer: list[str] = []

    async def update() -> None:
        newer.append(await rig.shop.order(one="x"))

    rig.before["delete"].append(update)
    await rig.ingest(old)
    await rig.ingest(newer[0])
    assert rig.shop.rows() == {"one": ["x"]}
    assert await rig.shop.letters() == []
