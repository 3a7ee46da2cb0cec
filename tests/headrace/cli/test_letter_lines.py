"""Promises of dead letters as text."""

import pytest

from contract.batch import Batch, Chunk, Part, encode
from contract.ledger.records import DeadLetter
from headrace.cli.letter_lines import age_of, cells_of, table_line, text_of
from headrace.letters import dead_chunks, letter_as_dict

_PART = Part(
    document_id="d",
    source="docs",
    version=5,
    content_hash="h",
    chunk_count=3,
    first=0,
    chunks=tuple(Chunk(key=f"k{n}", text=f"text {n} " + "x" * 500 * n) for n in range(3)),
)


def _letter(payload: bytes, message: str = "no") -> DeadLetter:
    return DeadLetter(
        document_id="d",
        version=5,
        source="docs",
        key="a.md",
        key_bytes=b"a.md",
        job="j",
        stage="embed",
        reason="EmbeddingRefusedError",
        message=message,
        first_error="the first one",
        at_ms=0,
        attempts=2,
        chunk_count=3,
        ordinals=(1,),
        payload=payload,
    )


_WHOLE = encode(Batch(collection="books", job="j", parts=(_PART,)))


def test_what_comes_from_elsewhere_does_nothing_to_a_terminal() -> None:
    """Messages of a server may hold line breaks and control sequences; both are taken out."""
    letter = _letter(_WHOLE, message="a\x1b[2Jb\nc\u202e")
    shown = text_of("books", letter) + "\n" + "\n".join(cells_of(letter, 0))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "b c" in shown


def test_everything_is_shown_and_texts_are_short() -> None:
    """First and last error, and the dead chunk alone."""
    shown = text_of("books", _letter(_WHOLE, message="the last one"))
    for words in ("the first one", "the last one", "1 of 3 dead", "docs -> books", "text 1"):
        assert words in shown
    assert "text 0" not in shown
    assert max(map(len, shown.splitlines())) < 400


@pytest.mark.parametrize("payload", [b"", b"broken"])
def test_a_letter_without_a_payload_that_can_be_read(payload: bytes) -> None:
    """It is shown all the same."""
    letter = _letter(payload)
    assert dead_chunks(letter) == []
    assert "a.md" in text_of("books", letter)
    assert letter_as_dict("books", letter)["payload_bytes"] == len(payload)


def test_a_line_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long key and message are."""
    monkeypatch.setenv("COLUMNS", "120")
    letter = _letter(b"", message="m" * 500)
    assert len(table_line(cells_of(letter, 0))) <= 120


@pytest.mark.parametrize(
    ("ms", "age"), [(-5, "0s"), (4_999, "4s"), (61_000, "1m"), (7_200_000, "2h"), (3e8, "3d")]
)
def test_an_age_in_its_largest_unit(ms: float, age: str) -> None:
    """As people say it."""
    assert age_of(0, int(ms)) == age
