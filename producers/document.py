"""What the first stages hand on: an entry is listed, a document parsed, a piece cut."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self, TypeAlias

from contract.errors import DocumentError

JSON: TypeAlias = str | int | float | bool | None
"""A metadata value: scalars alone, so that each can be filtered by."""


class Reason(StrEnum):
    """Why something listed does not become a document."""

    UNKNOWN_TYPE = "unknown_type"
    BINARY = "binary"
    EMPTY = "empty"
    SPECIAL_FILE = "special_file"
    UNREADABLE = "unreadable"
    VANISHED = "vanished"
    CHANGED = "changed"
    TOO_BIG = "too_big"
    BROKEN_LINK = "broken_link"
    SYMLINK_LOOP = "symlink_loop"
    UNDECODABLE = "undecodable"
    TOO_SLOW = "too_slow"
    DEADLY = "deadly"
    MALFORMED = "malformed"
    WRONG_VECTOR = "wrong_vector"
    OUTDATED = "outdated"
    REPEATED = "repeated"
    OVER_BUDGET = "over_budget"
    GONE = "gone"
    DISALLOWED = "disallowed"
    OUTSIDE = "outside"

    @property
    def failed(self) -> bool:
        """Tell what could not be had from what was left out on purpose."""
        return self not in _ON_PURPOSE


_ON_PURPOSE: Final = frozenset(
    {
        Reason.UNKNOWN_TYPE,
        Reason.BINARY,
        Reason.EMPTY,
        Reason.SPECIAL_FILE,
        Reason.REPEATED,
        Reason.OUTDATED,
        Reason.GONE,
        Reason.DISALLOWED,
        Reason.OUTSIDE,
    }
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One listed item that may become a document."""

    key: str
    """Path relative to the source's root, for people; not always unique (see key_bytes)."""
    key_bytes: bytes
    """The same path as the file system spells it: ids are made from it."""
    path: str | None
    """Where to open it, as `os.fsdecode` gives it, or its URL; None where it has neither."""
    size_bytes: int
    modified_ns: int
    """Time of the last change, in ns since 1970."""
    stamp: str = ""
    """Another one whenever the content changes (of a file its times, size and inode; an ETag
    would do); empty where there is none that can be trusted: then it is read."""


@dataclass(frozen=True, slots=True)
class Omission:
    """Something listed that will not become a document."""

    key: str
    reason: str
    """A `Reason`."""
    message: str
    failed: bool
    """True: it could not be had. False: it was left out on purpose."""
    key_bytes: bytes
    """What the document's id would be made from. A failed one is not gone: keep its rows,
    and those of all keys below it if it is a folder."""

    @classmethod
    def of(cls, key: str, key_bytes: bytes, error: DocumentError) -> Self:
        """Say of an entry that this error kept it from becoming a document."""
        reason = Reason(error.reason)
        return cls(key, reason, error.message, reason.failed, key_bytes)


@dataclass(frozen=True, slots=True)
class Heading:
    """A title in a document's text."""

    start: int
    """Offset of its first line in the text, in characters (of the overline, if it has one)."""
    level: int
    """1 is the outermost; 0 the title of the whole document, where the format has one."""
    title: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a parser sees in a text."""

    title: str | None = None
    outline: tuple[Heading, ...] = ()
    metadata: Mapping[str, JSON] = field(default_factory=dict)
    text: str | None = None
    """What is there to be read by people; None: all of the text that was parsed."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One chunk before it has ids."""

    text: str
    start: int
    """Offset of its first character in the document's text, in characters."""
    heading_path: tuple[str, ...]
    """Titles of the headings that enclose its start, outermost first."""
    vector: bytes = b""
    """Of its source's own, as little-endian float32; empty: it is to be embedded."""


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed item of a source."""

    key: str
    key_bytes: bytes
    text: str
    metadata: Mapping[str, JSON]
    outline: tuple[Heading, ...]
    """By rising start."""
    format: str
    """Name of the parser."""
    pieces: tuple[Piece, ...] = ()
    """As its source has cut it; empty: it is to be cut."""


def printable(name: bytes) -> str:
    r"""Show a file name of any bytes on one line: what can't be shown becomes \xff or \u202e."""
    shown = name.decode("utf-8", "backslashreplace")
    if shown.isprintable():
        return shown
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in shown
    )
