"""Which parser reads which file."""

import pytest

from contract.errors import DocumentError
from producers.document import Document, Heading, Reason
from producers.parsing.formats import MARKDOWN, RESTRUCTUREDTEXT, TEXT, Parser, parse, parser_for


@pytest.mark.parametrize(
    ("key", "parser"),
    [
        ("a.txt", TEXT),
        ("a.b/c.LOG", TEXT),
        ("README", TEXT),
        ("v1.2/LICENSE", TEXT),
        (".profile", TEXT),
        ("a.md", MARKDOWN),
        ("a.tar.Markdown", MARKDOWN),
        ("x/.hidden.rst", RESTRUCTUREDTEXT),
        ("a.rest", RESTRUCTUREDTEXT),
        ("a.md.gz", None),
        ("a.", None),
        ("photo.jpeg", None),
    ],
)
def test_the_suffix_tells_the_parser(key: str, parser: Parser | None) -> None:
    """Case doesn't matter; a name without a suffix is text; folders don't count."""
    assert parser_for(key) is parser


def test_a_document_has_text_metadata_and_outline() -> None:
    """Newlines are normal, offsets are those of the text."""
    document = parse("a/b.md", b"a/b.md", b"\xef\xbb\xbfintro\r\n\r\n# One\r\n")
    metadata = {"path": "a/b.md", "title": "One", "format": "markdown"}
    expected = Document(
        "a/b.md", b"a/b.md", "intro\n\n# One\n", metadata, (Heading(7, 1, "One"),), "markdown"
    )
    assert document == expected


def test_a_document_without_a_title_is_called_like_its_file() -> None:
    """There is always a title."""
    document = parse("a/long.txt", b"a/long.txt", b"x" * 500)
    assert document.metadata["title"] == "long.txt"


@pytest.mark.parametrize(
    ("key", "data", "reason"),
    [
        ("a.txt", b"", Reason.EMPTY),
        ("a.txt", b"\xef\xbb\xbf \n\t\r\n", Reason.EMPTY),
        ("a.md", b"\x89PNG\r\n\x1a\n\0", Reason.BINARY),
        ("a.md", b"\xff\xfe\x00", Reason.UNDECODABLE),
        ("a.png", b"text", Reason.UNKNOWN_TYPE),
    ],
)
def test_what_is_no_document_says_why(key: str, data: bytes, reason: Reason) -> None:
    """Nothing blank, binary or broken becomes a document."""
    with pytest.raises(DocumentError) as caught:
        parse(key, key.encode(), data)
    assert caught.value.reason is reason


def test_the_fingerprint_names_parser_and_version() -> None:
    """Another version of a parser is another fingerprint."""
    assert MARKDOWN.fingerprint == "markdown-1"
    assert len({parser.fingerprint for parser in (TEXT, MARKDOWN, RESTRUCTUREDTEXT)}) == 3
