"""The nouns of the first stages."""

import pickle

import pytest

from contract.errors import DocumentError
from producers.document import Document, Heading, Omission, Reason, printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"plain name.md", "plain name.md"),
        ("Grüße/日本.md".encode(), "Grüße/日本.md"),
        (b"caf\xe9.txt", r"caf\xe9.txt"),
        (b"two\nlines\x1b[31m", r"two\nlines\x1b[31m"),
        ("right\u202eto left".encode(), r"right\u202eto left"),
        (b"", ""),
    ],
)
def test_any_file_name_shows_on_one_line(name: bytes, shown: str) -> None:
    """What can't be decoded or printed is escaped, all else stays."""
    assert printable(name) == shown


@pytest.mark.parametrize("reason", Reason)
def test_an_omission_tells_failure_from_choice(reason: Reason) -> None:
    """What we do not know, what holds no text and what comes twice is left out on purpose."""
    omission = Omission.of("a\\xff", b"a\xff", DocumentError(reason, "why"))
    on_purpose = {"unknown_type", "binary", "empty", "special_file", "repeated", "outdated"} | {
        *("gone", "disallowed", "outside")
    }
    assert omission == Omission("a\\xff", reason, "why", reason not in on_purpose, b"a\xff")


def test_an_error_with_an_unknown_reason_is_a_bug() -> None:
    """The set of reasons is closed: they are labels in counts."""
    with pytest.raises(ValueError, match="no such reason"):
        Omission.of("a", b"a", DocumentError("no such reason", "why"))


def test_documents_travel_between_processes() -> None:
    """A document comes out of pickle equal."""
    document = Document("a", b"a\xff", "text", {"pep": 1}, (Heading(0, 1, "T"),), "text")
    assert pickle.loads(pickle.dumps(document)) == document  # noqa: S301 - our own bytes
