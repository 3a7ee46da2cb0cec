"""Dead letters."""

from collections.abc import Mapping, Sequence

import msgspec
import pytest

from contract.batch import Batch, Chunk, Part, decode
from contract.errors import EmbeddingRefusedError, StoreRejectedError
from contract.ids import chunk_id
from contract.ledger.records import Claim, ClaimState, DeadPart
from worker import dead_letters
from worker.dead_letters import (
    LONGEST_MESSAGE,
    NOT_THERE,
    TOO_LARGE,
    Death,
    all_chunks,
    dead_letter,
    dead_parts,
    encoded_death,
    parts_of,
    said,
)
from worker.outcome import Stage
from worker.store import IDS_IN_ONE_READ, StoredRow


def part(first: int, *texts: str, count: int = 6, document: str = "one") -> Part:
    """Make a part of version 7."""
    return Part(
        document_id=document,
        source="books",
        version=7,
        content_hash="c",
        chunk_count=count,
        first=first,
        chunks=tuple(Chunk(key=f"k{first + at}", text=text) for at, text in enumerate(texts)),
        metadata={"path": f"{document}.md"},
    )


def batch(*parts: Part) -> Batch:
    """Make a batch."""
    return Batch(collection="shelf", job="job", parts=parts)


def claim(attempts: int = 2, first_error: str = "") -> Claim:
    """Make a claim."""
    return Claim(ClaimState.CLAIMED, "batch", "me", b"", attempts, first_error=first_error)


class Rows:
    """Rows of a document, that notes how they are read."""

    def __init__(self, *texts: str) -> None:
        """Hold one for each text."""
        self.texts = texts
        self.reads: list[int] = []

    async def __call__(self, ids: Sequence[str]) -> Mapping[str, StoredRow]:
        """Read."""
        self.reads.append(len(ids))
        rows = {
            chunk_id("one", 7, at): StoredRow(
                text, {"chunk_key": f"k{at}", "start": at, "headings": ["H"]}, None
            )
            for at, text in enumerate(self.texts)
        }
        return {name: rows[name] for name in ids if name in rows}


def death(error: Exception, *ordinals: int, attempts: int = 2, first_error: str = "") -> DeadPart:
    """Let a part die, write it down, and read that."""
    assert isinstance(error, StoreRejectedError | EmbeddingRefusedError)
    own = part(2, "c", "d")
    record = encoded_death(
        batch(part(0, "x", document="other"), own),
        own,
        Death(Stage.WRITE, error, set(ordinals)),
        claim(attempts, first_error),
    )
    (dead,) = dead_parts([record])
    return dead


def test_a_dead_part_says_what_and_why() -> None:
    """Stage, reason, last and first error, attempts, and the chunks that are to blame."""
    dead = death(StoreRejectedError("too long"), 3, 2, first_error="it hung")
    assert (dead.stage, dead.reason, dead.message) == ("write", "StoreRejectedError", "too long")
    assert (dead.first_error, dead.attempts, dead.ordinals) == ("it hung", 3, (2, 3))
    assert death(StoreRejectedError("too long"), 2).first_error == "too long"


def test_a_dead_part_keeps_its_own_chunks_alone() -> None:
    """The payload is a whole batch of that part, and of no other."""
    dead = death(StoreRejectedError("no"), 2)
    assert decode(dead.payload) == batch(part(2, "c", "d"))
    assert parts_of([dead]) == [part(2, "c", "d")]


def test_a_long_message_is_cut() -> None:
    """A server that quotes the whole text does not fill Redis."""
    dead = death(StoreRejectedError("x" * 9_999), 2, first_error="y" * 9_999)
    assert (len(dead.message), len(dead.first_error)) == (LONGEST_MESSAGE, LONGEST_MESSAGE)


def test_what_a_stranger_says_is_not_kept() -> None:
    """The message of an exception that is not ours might hold a password."""
    assert said(ValueError("secret")) == "ValueError"
    assert said(StoreRejectedError("refused")) == "refused"
    assert said(StoreRejectedError("")) == "StoreRejectedError"


async def test_all_chunks_come_together() -> None:
    """Those at hand are taken as they are, the others are read, and only these."""
    rows = Rows("a", "b", "stale", "stale", "e", "f")
    chunks = await all_chunks([part(2, "c", "d")], rows)
    assert isinstance(chunks, tuple)
    assert [chunk.text for chunk in chunks] == list("abcdef")
    assert chunks[1] == Chunk(key="k1", text="b", start=1, headings=("H",))
    assert rows.reads == [4]


async def test_a_document_in_one_part_is_not_read() -> None:
    """No call for what is at hand."""
    rows = Rows()
    chunks = await all_chunks([part(0, "a", "b", count=2)], rows)
    assert chunks == part(0, "a", "b").chunks
    assert rows.reads == []


async def test_rows_that_are_missing_are_told() -> None:
    """A document is kept whole or not at all."""
    assert await all_chunks([part(2, "c", "d")], Rows("a", "b")) == NOT_THERE


async def test_reading_stops_when_it_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded: no more is read than the limit and one read."""
    monkeypatch.setattr(dead_letters, "LARGEST_TEXT_BYTES", 100)
    rows = Rows(*["x"] * 5_000)
    assert await all_chunks([part(0, "a", count=5_000)], rows) == TOO_LARGE
    assert rows.reads == [IDS_IN_ONE_READ]
    assert await all_chunks([part(0, "a" * 101, count=5_000)], rows) == TOO_LARGE
    assert rows.reads == [IDS_IN_ONE_READ]


def test_a_letter_has_all_that_a_replay_needs() -> None:
    """Document, key, versions, reason, and a batch of the whole document."""
    dead = [death(EmbeddingRefusedError("no"), 2), death(StoreRejectedError("too long"), 3)]
    chunks = part(0, *"abcdef").chunks
    letter = dead_letter(batch(part(2, "c", "d")), part(2, "c", "d"), dead, chunks, b"one\xff.md")
    assert decode(letter.payload) == batch(part(0, *"abcdef"))
    assert (letter.document_id, letter.version, letter.source) == ("one", 7, "books")
    assert (letter.key, letter.key_bytes, letter.job) == ("one.md", b"one\xff.md", "job")
    assert letter.reason == "EmbeddingRefusedError"
    assert (letter.first_error, letter.message) == ("no", "too long")
    assert (letter.ordinals, letter.chunk_count, letter.attempts) == ((2, 3), 6, 3)


def test_a_letter_without_text_says_why() -> None:
    """Whoever reads it learns that the source is needed."""
    letter = dead_letter(
        batch(part(2, "c", "d")), part(2, "c", "d"), [death(StoreRejectedError("no"), 2)],
        TOO_LARGE, b"",
    )  # fmt: skip
    assert letter.payload == b""
    assert letter.message == f"no ({TOO_LARGE})"


def test_a_letter_without_a_path_is_named_by_its_key() -> None:
    """Sources without paths have keys that people can read, more or less."""
    bare = msgspec.structs.replace(part(0, "a", count=1), metadata={})
    letter = dead_letter(batch(bare), bare, [death(StoreRejectedError("no"), 0)], bare.chunks, b"k")
    assert letter.key == "k"
