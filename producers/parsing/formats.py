"""Which parser reads which file, and how it makes a document of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from contract.errors import DocumentError
from producers.document import Document, Reading, Reason
from producers.parsing import html, markdown, restructuredtext, text
from producers.parsing.encoding import decode


@dataclass(frozen=True, slots=True)
class Parser:
    """One way to read a text."""

    name: str
    version: int
    """Goes up whenever the same bytes may give another document: these are then cut anew."""
    read: Callable[[str], Reading]

    @property
    def fingerprint(self) -> str:
        """Name the parser and its version, for a content's fingerprint."""
        return f"{self.name}-{self.version}"


TEXT: Final = Parser("text", 1, text.read)
MARKDOWN: Final = Parser("markdown", 1, markdown.read)
RESTRUCTUREDTEXT: Final = Parser("restructuredtext", 1, restructuredtext.read)
HTML: Final = Parser("html", 1, html.read)

PARSERS: Final = {
    "": TEXT,  # README, LICENSE, Makefile
    ".txt": TEXT,
    ".text": TEXT,
    ".log": TEXT,
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".rst": RESTRUCTUREDTEXT,
    ".rest": RESTRUCTUREDTEXT,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
}
"""By the lower-case suffix of the file's name, with its dot."""

_TYPES: Final = {
    "text/html": HTML,
    "application/xhtml+xml": HTML,
    "text/markdown": MARKDOWN,
    "text/x-markdown": MARKDOWN,
    "text/x-rst": RESTRUCTUREDTEXT,
    "text/prs.fallenstein.rst": RESTRUCTUREDTEXT,
}
_UNTYPED: Final = frozenset({"", "application/octet-stream", "binary/octet-stream"})
"""Media types by which servers say that they don't know."""


def parser_for(key: str) -> Parser | None:
    """Give the parser for a key, by the suffix of its last component; None if there is none."""
    name = key.rpartition("/")[2].lstrip(".")
    _, dot, suffix = name.rpartition(".")
    return PARSERS.get((dot + suffix).lower() if dot else "")


def parser_for_type(media_type: str, path: str) -> Parser | None:
    """Give the parser for what a server sends; None if there is none.

    Args:
        media_type: in lower case, without parameters; empty: not told.
        path: its suffix decides where the type tells too little.
    """
    if media_type == "text/plain":
        by_suffix = parser_for(path)
        return by_suffix if by_suffix in {MARKDOWN, RESTRUCTUREDTEXT} else TEXT
    return parser_for(path) if media_type in _UNTYPED else _TYPES.get(media_type)


def parse(key: str, key_bytes: bytes, data: bytes) -> Document:
    """Make a document of the bytes of a listed item.

    Its metadata are `path` (the key), `title`, `format` and what the format adds; the same
    bytes under the same key always give the same.

    Raises:
        DocumentError: no parser knows the type, or the bytes are binary, undecodable or blank.
    """
    parser = parser_for(key)
    if parser is None:
        raise DocumentError(Reason.UNKNOWN_TYPE, "no parser knows files of this name")
    return parse_with(parser, key, key_bytes, data)


def parse_with(
    parser: Parser, key: str, key_bytes: bytes, data: bytes, charset: str = ""
) -> Document:
    """Make a document by a known parser.

    Args:
        parser: of the type.
        key: for people.
        key_bytes: the key itself.
        data: the bytes.
        charset: in which a server says that they are; empty: it does not say.

    Raises:
        DocumentError: the bytes are binary, undecodable or blank, or have no text.
    """
    if parser is HTML:
        charset = charset or html.declared_charset(data)
    content = decode(data, charset)
    if not content or content.isspace():
        raise DocumentError(Reason.EMPTY, "there is no text in it")
    reading = parser.read(content)
    if reading.text is not None:
        content = reading.text
        if not content:
            raise DocumentError(Reason.EMPTY, "there is no text in it that people would see")
    metadata = {
        **reading.metadata,
        "path": key,
        "title": reading.title or key.rpartition("/")[2],
        "format": parser.name,
    }
    return Document(key, key_bytes, content, metadata, reading.outline, parser.name)
