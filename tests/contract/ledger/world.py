"""What the ledger's tests hold against it: a source, a Milvus, and who promised what."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from contract.batch import Batch, Chunk, Part
from contract.ids import chunk_ids
from contract.ledger.records import PartMark

SOURCE = "shelf"
POISON = "poison"
FLAKY = "flaky"
GONE = "gone"
CONTENTS: dict[str, tuple[str, ...]] = {
    "good": ("a", "b", "c"),
    "better": ("b", "x", "c", "y"),
    "poisoned": ("a", "b", POISON),
    "flaky": ("a", "b", FLAKY),
    GONE: (),
}
PART_CHUNKS = 2


@dataclass
class Version:
    """One version of a document.

    Attributes:
        number: the ledger's number of it.
        content: which of CONTENTS it is.
        job: who promised it.
        texts: its chunks; fewer than the content's when some were accepted to be missing.
        published: first ordinal of a published part -> its units.
        marks: first ordinal of a part that is done -> whether it was found dead.
        given_up: its job was cancelled before it was through.
    """

    number: int
    content: str
    job: str
    texts: tuple[str, ...]
    published: dict[int, int] = field(default_factory=dict)
    marks: dict[int, bool] = field(default_factory=dict)
    given_up: bool = False

    @property
    def units(self) -> int:
        """What all its parts add up to."""
        return len(self.texts) or 1

    @property
    def is_published(self) -> bool:
        """Tell whether all its parts are published."""
        return sum(self.published.values()) >= self.units

    @property
    def is_done(self) -> bool:
        """Tell whether all its parts are marked."""
        return sum(self.published[first] for first in self.marks) >= self.units

    @property
    def is_dead(self) -> bool:
        """Tell whether a part was found dead."""
        return any(self.marks.values())

    @property
    def is_written(self) -> bool:
        """Tell whether nothing can keep it from being committed."""
        return self.is_done and not self.is_dead and not self.given_up


@dataclass
class World:
    """What there is besides the ledger, and what it should know.

    Attributes:
        files: document -> content, in the source.
        unreadable: of these, the ones that can't be read for now.
        milvus: chunk id -> text.
        wanted: document -> its newest version.
        committed: document -> the last one before it that was written to the last part.
        read: document -> (number of the latest reading that was told to the ledger, content).
        jobs: all that were ever begun, in order.
        cancelled: of these, the cancelled ones.
        batches: all that were ever made, also by splitting, in order.
    """

    files: dict[str, str] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    milvus: dict[str, str] = field(default_factory=dict)
    wanted: dict[str, Version] = field(default_factory=dict)
    committed: dict[str, Version] = field(default_factory=dict)
    read: dict[str, tuple[int, str]] = field(default_factory=dict)
    jobs: list[str] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    batches: list[Batch] = field(default_factory=list)

    def note(self, document: str, reading: int, content: str) -> None:
        """Note a reading that the ledger knows of now."""
        self.read[document] = max(self.read.get(document, (0, "")), (reading, content))

    def promise(self, document: str, version: Version) -> None:
        """Put a version in the place of the one before."""
        before = self.wanted.get(document)
        if before and before.is_written:
            self.committed[document] = before
        self.wanted[document] = version

    def publish(self, batch: Batch) -> None:
        """Note what of the wanted versions is published."""
        if batch.job in self.cancelled:
            return
        for part in batch.parts:
            wanted = self.wanted.get(part.document_id)
            if wanted and wanted.number == part.version and not wanted.given_up:
                wanted.published.setdefault(part.first, part.units)

    def split(self, whole: Batch, pieces: Iterable[Batch]) -> None:
        """Note that parts were cut into smaller ones."""
        self.batches += pieces
        for part in whole.parts:
            wanted = self.wanted.get(part.document_id)
            if wanted and wanted.number == part.version and part.first in wanted.published:
                for piece in (p for b in pieces for p in b.parts if _is_of(p, part)):
                    wanted.published[piece.first] = piece.units
                    if part.first in wanted.marks:
                        wanted.marks.setdefault(piece.first, False)

    def settle(self, marks: Iterable[PartMark]) -> None:
        """Note what is done; the first to say so is right, but not about a part that was cut."""
        for mark in marks:
            wanted = self.wanted.get(mark.document_id)
            if (
                wanted
                and (wanted.number, wanted.given_up) == (mark.version, False)
                and wanted.published.get(mark.first) == mark.units
            ):
                wanted.marks.setdefault(mark.first, bool(mark.death))

    def abandon(self, job: str, documents: Iterable[str]) -> None:
        """Note that a cancelled job's versions are given up, unless they are written."""
        for document in documents:
            wanted = self.wanted[document]
            if wanted.job == job and not wanted.is_written:
                wanted.given_up = True

    def rows(self) -> dict[str, str]:
        """Say what Milvus must hold when everything is at rest."""
        rows: dict[str, str] = {}
        for document, wanted in self.wanted.items():
            version = wanted if wanted.is_written else self.committed.get(document)
            if version is not None:
                ids = chunk_ids(document, version.number, range(len(version.texts)))
                rows |= dict(zip(ids, version.texts, strict=True))
        return rows

    def delete(self, ids: Iterable[str]) -> None:
        """Delete rows; those that are not there are no error."""
        for row in ids:
            self.milvus.pop(row, None)


def _is_of(piece: Part, part: Part) -> bool:
    same = (piece.document_id, piece.version) == (part.document_id, part.version)
    return same and part.first <= piece.first < part.first + part.units


def parts_of(
    document: str, version: int, content: str, texts: tuple[str, ...] | None = None
) -> list[Part]:
    """Cut a document into parts, always in the same places."""
    texts = CONTENTS[content] if texts is None else texts
    return [
        Part(
            document_id=document,
            source=SOURCE,
            version=version,
            content_hash=content,
            chunk_count=len(texts),
            first=first,
            chunks=tuple(Chunk(key=text, text=text) for text in texts[first : first + PART_CHUNKS]),
        )
        for first in range(0, len(texts) or 1, PART_CHUNKS)
    ]
