"""Dead letters."""

import pytest

from contract.batch import Batch, Chunk, Part, decode
from contract.errors import (
    EmbeddingRefusedError,
    EmbeddingReplyError,
    PermanentError,
    StoreRejectedError,
)
from worker.dead_letters import LONGEST_MESSAGE, dead_letter

PARTS = tuple(
    Part(
        document_id=name,
        source="books",
        version=7,
        content_hash="c",
        chunk_count=1,
        first=0,
        chunks=(Chunk(key="k", text=name),),
        metadata={"path": f"{name}.md"},
    )
    for name in ("one", "two")
)
BATCH = Batch(collection="shelf", job="job", parts=PARTS)


def test_a_letter_replays_its_part_alone() -> None:
    """The payload is a whole batch of the dead part, and of no other."""
    letter = dead_letter(BATCH, PARTS[1], StoreRejectedError("too long"), attempts=2)
    assert decode(letter.payload) == Batch(collection="shelf", job="job", parts=PARTS[1:])


def test_a_letter_says_what_and_why() -> None:
    """Whoever reads it learns document, source, path, reason and number of attempts."""
    letter = dead_letter(BATCH, PARTS[1], StoreRejectedError("too long"), attempts=2)
    assert letter.document_id == "two"
    assert letter.key == "two.md"
    assert letter.reason == "StoreRejectedError"
    assert letter.message == "too long"
    assert letter.attempts == 3


def test_the_same_part_gives_the_same_letter() -> None:
    """A batch that is worked on twice leaves one letter, and each part its own."""
    first, again = (dead_letter(BATCH, PARTS[0], PermanentError("no"), 0) for _ in range(2))
    assert first.id == again.id
    assert first.id != dead_letter(BATCH, PARTS[1], PermanentError("no"), 0).id


@pytest.mark.parametrize(
    ("error", "stage"),
    [
        (EmbeddingRefusedError("no"), "embed"),
        (EmbeddingReplyError("no"), "embed"),
        (StoreRejectedError("no"), "write"),
    ],
)
def test_the_stage_follows_from_the_error(error: PermanentError, stage: str) -> None:
    """What the endpoint refused died in embedding, what Milvus refused in writing."""
    assert dead_letter(BATCH, PARTS[0], error, 0).stage == stage


def test_a_long_message_is_cut() -> None:
    """A server that quotes the whole text does not fill Redis."""
    letter = dead_letter(BATCH, PARTS[0], StoreRejectedError("x" * 9_999), 0)
    assert len(letter.message) == LONGEST_MESSAGE
