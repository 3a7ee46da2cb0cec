"""Drafting: a document's bytes to a part that has all but its version."""

from collections.abc import Callable
from dataclasses import dataclass

from contract.batch import Chunk, Part
from contract.errors import DocumentError
from contract.ids import chunk_keys, content_hash, content_stamp, document_id
from producers.document import Document, Entry, Omission
from producers.reading import Loaded
from producers.sources.source import Source
from producers.splitting import SplitOptions, split


@dataclass(frozen=True, slots=True)
class Identity:
    """What the ledger knows a document by."""

    document_id: str
    content_hash: str
    stamp: str
    """By which the content is known before it is read; may be empty."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A whole document, cut; the ledger has not seen it yet."""

    entry: Entry
    part: Part
    """With version 0."""
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A document that is to be drafted."""

    item: Loaded
    identity: Identity

    @property
    def size_bytes(self) -> int:
        """Tell how large it is."""
        return len(self.item.data)

    def omitted(self, error: DocumentError) -> Omission:
        """Say that this error kept it from becoming a document."""
        return Omission.of(self.item.entry.key, self.item.entry.key_bytes, error)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How documents of one source become drafts: all that a process needs to know of it."""

    source_name: str
    parse: Callable[[Entry, bytes], Document]
    options: SplitOptions

    def part(self, assignment: Assignment) -> Part:
        """Parse and split.

        Raises:
            DocumentError: the document can't be parsed, or holds no text.
        """
        identity = assignment.identity
        document = self.parse(assignment.item.entry, assignment.item.data)
        pieces = document.pieces or split(document, self.options)
        keys = chunk_keys(identity.document_id, (piece.text for piece in pieces))
        chunks = tuple(
            Chunk(
                key=key,
                text=piece.text,
                start=piece.start,
                headings=piece.heading_path,
                vector=piece.vector,
            )
            for key, piece in zip(keys, pieces, strict=True)
        )
        return Part(
            document_id=identity.document_id,
            source=self.source_name,
            version=0,
            content_hash=identity.content_hash,
            chunk_count=len(chunks),
            first=0,
            chunks=chunks,
            metadata=dict(document.metadata),
        )

    def draft(self, assignment: Assignment) -> Draft | Omission:
        """Parse and split, or say why that can't be."""
        try:
            return Draft(assignment.item.entry, self.part(assignment), assignment.identity.stamp)
        except DocumentError as error:
            return assignment.omitted(error)


class Drafter:
    """Names the documents of one source, and knows how they are drafted.

    Attributes:
        recipe: how documents are drafted.
    """

    def __init__(self, source: Source, options: SplitOptions) -> None:
        """Keep the source that parses, and how to cut."""
        self.recipe = Recipe(source.name, source.parse, options)
        self._source = source

    def assignment(self, item: Loaded) -> Assignment:
        """Name a document, and its content together with the way it is parsed and cut."""
        identity = Identity(
            document_id(self._source.name, item.entry.key_bytes),
            content_hash(item.data, self._fingerprint(item.entry)),
            self.stamp(item.entry),
        )
        return Assignment(item, identity)

    def stamp(self, entry: Entry) -> str:
        """Name what the listing shows of a content, together with the way it is cut."""
        return entry.stamp and content_stamp(entry.stamp, self._fingerprint(entry))

    def _fingerprint(self, entry: Entry) -> str:
        return f"{self._source.fingerprint(entry)}|{self.recipe.options.fingerprint}"
