"""Planning: what is new, changed, unchanged, gone; only the first two cost anything."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from contract.batch import Chunk, Part
from contract.errors import DocumentError
from contract.ids import chunk_keys, content_hash, document_id
from contract.ledger.ledger import Ledger
from contract.ledger.records import Outcome, Promise, Registered
from producers.document import Document, Entry, Omission, Reason
from producers.sources.source import Source
from producers.splitting import SplitOptions, split
from producers.tally import Tally

_WITHOUT_TEXT: Final = frozenset({Reason.EMPTY, Reason.BINARY, Reason.SPECIAL_FILE})
"""What a file may have become whose text is to be forgotten."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A document's bytes, read."""

    entry: Entry
    data: bytes


class Planner:
    """Compares what a source has with what the ledger knows."""

    def __init__(
        self,
        ledger: Ledger,
        source: Source,
        options: SplitOptions,
        tally: Tally,
        *,
        job: str,
        listing: int,
    ) -> None:
        """Plan one listing of one source.

        Args:
            ledger: of the collection.
            source: parses what was read of it.
            options: how to cut.
            tally: counts what is found.
            job: on whose behalf versions are given.
            listing: the listing's number, see ``Ledger.begin_listing``.
        """
        self._ledger = ledger
        self._source = source
        self._options = options
        self._tally = tally
        self._job = job
        self._listing = listing

    async def plan(
        self, loaded: Sequence[Loaded], omissions: Sequence[Omission] = ()
    ) -> list[Part]:
        """Give the documents that need work, each as one whole part, with a version.

        Unchanged documents end here, by one pipelined look-up for all. Each item is counted
        once: by what the ledger says of it, or as left out.

        Args:
            loaded: what could be read.
            omissions: what could not; one that holds no text any more, but held some, gives a
                part without chunks, which deletes it.
        """
        identities = [self._identity(item) for item in loaded]
        known = await self._ledger.lookup(self._source.name, self._listing, identities)
        work = []
        for item, (document, digest), registered in zip(loaded, identities, known, strict=True):
            if registered is None:
                work.append((item, document, digest))
            else:
                self._tally.count_outcome(registered.outcome, registered.job)
        cut, unparsed = await asyncio.to_thread(self._cut_all, work)
        promised = await self._register(cut)
        for made in promised:
            self._tally.count_outcome(made.outcome, made.job)
        emptied = await self._withdraw([*omissions, *unparsed])
        return [*_to_do(cut, promised), *emptied]

    async def _withdraw(self, omissions: Sequence[Omission]) -> list[Part]:
        """Give parts that delete what documents held that hold no text any more."""
        ids = [
            document_id(self._source.name, omission.key_bytes)
            for omission in omissions
            if omission.reason in _WITHOUT_TEXT
        ]
        versions = dict(zip(ids, await self._ledger.wanted(ids), strict=True))
        held, parts = [], []
        for omission in omissions:
            document = document_id(self._source.name, omission.key_bytes)
            if versions.get(document):
                held.append(omission)
                digest = content_hash(b"", "empty")
                parts.append(self._part(omission.key, document, digest, None))
            else:
                self._tally.omit(omission)
        registered = await self._register(parts)
        for omission, made in zip(held, registered, strict=True):
            if made.outcome is Outcome.UNCHANGED:  # deleted by an earlier run
                self._tally.omit(omission)
            else:
                self._tally.count_outcome(made.outcome, made.job)
        return _to_do(parts, registered)

    def _identity(self, item: Loaded) -> tuple[str, str]:
        fingerprint = f"{self._source.fingerprint(item.entry)}|{self._options.fingerprint}"
        return (
            document_id(self._source.name, item.entry.key_bytes),
            content_hash(item.data, fingerprint),
        )

    def _cut_all(
        self, work: Iterable[tuple[Loaded, str, str]]
    ) -> tuple[list[Part], list[Omission]]:
        """Parse and split; what can't be is left out, and the others go on."""
        parts, omissions = [], []
        for item, identity, digest in work:
            try:
                document = self._source.parse(item.entry, item.data)
            except DocumentError as error:
                omissions.append(Omission.of(item.entry.key, item.entry.key_bytes, error))
            else:
                parts.append(self._part(item.entry.key, identity, digest, document))
        return parts, omissions

    def _part(self, key: str, identity: str, digest: str, document: Document | None) -> Part:
        pieces = split(document, self._options) if document else ()
        keys = chunk_keys(identity, (piece.text for piece in pieces))
        chunks = tuple(
            Chunk(key=key, text=piece.text, start=piece.start, headings=piece.heading_path)
            for key, piece in zip(keys, pieces, strict=True)
        )
        return Part(
            document_id=identity,
            source=self._source.name,
            version=0,
            content_hash=digest,
            chunk_count=len(chunks),
            first=0,
            chunks=chunks,
            metadata=dict(document.metadata) if document else {"path": key},
        )

    async def _register(self, parts: Sequence[Part]) -> list[Registered]:
        """Promise the contents; some may be promised already by now."""
        if not parts:
            return []
        return await self._ledger.register(
            self._job,
            self._listing,
            [
                Promise(
                    part.document_id,
                    part.source,
                    str(part.metadata.get("path", "")),
                    part.content_hash,
                    part.chunk_count,
                )
                for part in parts
            ],
        )


def _to_do(parts: Sequence[Part], registered: Sequence[Registered]) -> list[Part]:
    """Give those parts that are to be published, with their versions."""
    return [
        replace(part, version=made.version)
        for part, made in zip(parts, registered, strict=True)
        if made.outcome in {Outcome.NEW, Outcome.CHANGED}
    ]


def groups(
    entries: Iterable[Entry | Omission], count: int, size_bytes: int
) -> Iterable[list[Entry | Omission]]:
    """Put listed items into groups that are read and planned together.

    Args:
        entries: what is listed.
        count: most items in a group.
        size_bytes: most bytes in a group, unless one item alone has more.
    """
    group: list[Entry | Omission] = []
    size = 0
    for entry in entries:
        more = entry.size_bytes if isinstance(entry, Entry) else 0
        if group and (len(group) >= count or size + more > size_bytes):
            yield group
            group, size = [], 0
        group.append(entry)
        size += more
    if group:
        yield group
