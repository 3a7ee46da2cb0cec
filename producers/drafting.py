"""Drafting: a document's bytes to a part that has all but its version."""

from collections.abc import Iterable
from dataclasses import dataclass

from contract.batch import Chunk, Part
from contract.errors import DocumentError
from contract.ids import chunk_keys, content_hash, document_id
from producers.document import Document, Entry, Omission
from producers.reading import Loaded
from producers.sources.source import Source
from producers.splitting import SplitOptions, split


@dataclass(frozen=True, slots=True)
class Identity:
    """What the ledger knows a document by."""

    document_id: str
    content_hash: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A whole document, cut; the ledger has not seen it yet."""

    entry: Entry
    part: Part
    """With version 0."""


class Drafter:
    """Parses and splits the documents of one source.

    Attributes:
        source_name: the source's name.
    """

    def __init__(self, source: Source, options: SplitOptions) -> None:
        """Keep the source that parses, and how to cut."""
        self.source_name = source.name
        self._source = source
        self._options = options

    def identity(self, item: Loaded) -> Identity:
        """Name a document, and its content together with the way it is parsed and cut."""
        fingerprint = f"{self._source.fingerprint(item.entry)}|{self._options.fingerprint}"
        return Identity(
            document_id(self._source.name, item.entry.key_bytes),
            content_hash(item.data, fingerprint),
        )

    def drafts(
        self, items: Iterable[tuple[Loaded, Identity]]
    ) -> tuple[list[Draft], list[Omission]]:
        """Parse and split; what can't be is left out, and the others go on."""
        drafts, omissions = [], []
        for item, identity in items:
            try:
                document = self._source.parse(item.entry, item.data)
            except DocumentError as error:
                omissions.append(Omission.of(item.entry.key, item.entry.key_bytes, error))
            else:
                drafts.append(Draft(item.entry, self._part(identity, document)))
        return drafts, omissions

    def _part(self, identity: Identity, document: Document) -> Part:
        pieces = split(document, self._options)
        keys = chunk_keys(identity.document_id, (piece.text for piece in pieces))
        chunks = tuple(
            Chunk(key=key, text=piece.text, start=piece.start, headings=piece.heading_path)
            for key, piece in zip(keys, pieces, strict=True)
        )
        return Part(
            document_id=identity.document_id,
            source=self._source.name,
            version=0,
            content_hash=identity.content_hash,
            chunk_count=len(chunks),
            first=0,
            chunks=chunks,
            metadata=dict(document.metadata),
        )
