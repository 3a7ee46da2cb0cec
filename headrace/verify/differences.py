"""What differs, counted and, the first of it, named. Pure."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

NAMED = 1_000
"""Differences that are named; all are counted."""


class Kind(StrEnum):
    """What differs."""

    MISSING = "missing"
    """Rows of a committed version that Milvus has not."""
    STALE = "stale"
    """Rows of versions that are not the committed one."""
    BEYOND = "beyond"
    """Rows of the committed version that it should not have."""
    DUPLICATE = "duplicate"
    """Rows that Milvus has more than once."""
    UNKNOWN = "unknown"
    """Rows of a whole document that the ledger does not know."""
    INCOMPLETE = "incomplete"
    """Rows of a document of which no version is whole, and the ledger knows none."""
    FOREIGN = "foreign"
    """Rows whose ids are none of headrace's."""
    AWAITING = "awaiting"
    """Documents that are to be read again."""
    UNFINISHED = "unfinished"
    """Documents that were promised, and nobody is at them."""
    LEDGER = "ledger"
    """Sums in the ledger that are wrong."""
    SOURCE_NEW = "source_new"
    SOURCE_CHANGED = "source_changed"
    SOURCE_GONE = "source_gone"


UNOWNED = frozenset({Kind.INCOMPLETE, Kind.FOREIGN})
"""Deleted only when a person said so."""
IN_SOURCE = frozenset({Kind.SOURCE_NEW, Kind.SOURCE_CHANGED, Kind.SOURCE_GONE})
"""What an import is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One difference, of one document or of one row that belongs to none."""

    kind: Kind
    subject: str
    """The document's id, or what else it is about."""
    source: str = ""
    key: str = ""
    """For people."""
    rows: int = 0
    detail: str = ""
    mended: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Give the fields, for JSON."""
        return {
            "kind": self.kind.value,
            "subject": self.subject,
            "source": self.source,
            "key": self.key,
            "rows": self.rows,
            "detail": self.detail,
            "mended": self.mended,
        }


@dataclass(slots=True)
class Findings:
    """What one look found; memory does not grow with what it finds."""

    on_difference: Callable[[Difference], None] = lambda _: None
    """Told of the first ``NAMED`` ones."""
    subjects: Counter[Kind] = field(default_factory=Counter)
    """How many documents (or what else it is about) differ so."""
    rows: Counter[Kind] = field(default_factory=Counter)
    mended: Counter[Kind] = field(default_factory=Counter)
    """Of the subjects, those that agree again."""
    named: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What could not be compared, and what to do."""
    documents: int = 0
    """That the ledger knows, and that are not deleted."""
    rows_read: int = 0
    in_progress: int = 0
    in_quarantine: int = 0
    """Versions whose rows a janitor is to delete."""

    def add(self, difference: Difference) -> None:
        """Count a difference, and keep it if it is one of the first."""
        self.count(difference.kind, 1, rows=difference.rows, mended=difference.mended)
        if len(self.named) < NAMED:
            self.named.append(difference)
            self.on_difference(difference)

    def count(self, kind: Kind, number: int, *, rows: int = 0, mended: bool = False) -> None:
        """Count differences that are not named."""
        if not number:
            return
        self.subjects[kind] += number
        self.rows[kind] += rows
        if mended:
            self.mended[kind] += number

    def note(self, line: str) -> None:
        """Keep a line for a person, once."""
        if line not in self.notes:
            self.notes.append(line)

    @property
    def left(self) -> Counter[Kind]:
        """Count what still differs."""
        return self.subjects - self.mended

    @property
    def equal(self) -> bool:
        """Tell whether nothing differs any more."""
        return not self.left
