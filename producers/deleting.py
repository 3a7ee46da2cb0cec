"""Deleting what a source has no more: after everything else, and never by mistake."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, TypeAlias

from contract.batch import Part
from contract.errors import GuardError
from contract.ids import content_hash, document_id
from contract.ledger.promises import Promises
from contract.ledger.records import Gone, Outcome, Promise, Registered
from producers.document import printable
from producers.tally import Tally

PAGE: Final = 500
"""Documents that are deleted together."""

GONE: Final = content_hash(b"", "gone")
"""The content of a document that is deleted."""


class Extent(Protocol):
    """What a deleter needs of a source."""

    name: str
    shows_all: bool
    """Whether a document is gone when a complete listing that covers it does not show it."""

    @property
    def complete(self) -> bool:
        """Tell whether the last listing ran to its end and saw all that it covers."""

    def covers(self, key_bytes: bytes) -> bool:
        """Tell whether a listing would show this key if the document were there."""


Candidates: TypeAlias = Callable[[], Collection[bytes] | None]
"""Gives the keys of the documents that may be gone; None: any may be."""


def all_documents() -> None:
    """Say that any document may be gone: what a listing of a whole source shows."""


class Deletions(StrEnum):
    """What becomes of documents that a source has no more."""

    GUARDED = "guarded"
    """They are deleted, unless they are suspiciously many."""
    ALLOWED = "allowed"
    """They are deleted, however many they are."""
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Guard:
    """Keeps a source that looks empty (a disk not mounted, a wrong folder) from emptying rows."""

    deletions: Deletions
    max_share: float
    """Of the documents that were known before, the share that may be deleted."""

    def stops(self, gone: int, known: int) -> bool:
        """Tell whether so many are too many."""
        return self.deletions is Deletions.GUARDED and gone > self.max_share * max(known, gone)

    def reason(self, source: str, gone: int, known: int) -> str:
        """Say why it stops, and how to go on."""
        known = max(known, gone)
        return (
            f"{gone} of the {known} documents of source {source!r} are gone ({gone / known:.0%}; "
            f"at most {self.max_share:.0%} are deleted unasked). If they are meant to go, type "
            "--allow-deletes; if not, --no-delete keeps them"
        )


async def losses(promises: Promises, gone: Sequence[Gone]) -> list[Gone]:
    """Give those that had chunks, and whose deletion is not promised yet.

    The others are known for a dead letter alone, as a folder is that could not be read.
    """
    promised = await promises.lookup([(item.document_id, GONE) for item in gone])
    standing = await promises.standing([item.document_id for item in gone])
    return [
        item
        for item, promise, stands in zip(gone, promised, standing, strict=True)
        if promise is None and stands.wanted
    ]


def gone_part(gone: Gone, source: str, version: int) -> Part:
    """Give the part that deletes a document."""
    return Part(
        document_id=gone.document_id,
        source=source,
        version=version,
        content_hash=GONE,
        chunk_count=0,
        first=0,
        chunks=(),
        metadata={"path": printable(gone.key_bytes)},
    )


class Deleter:
    """Deletes the documents that a complete listing of a source did not show.

    Killed anywhere, it leaves documents that the next listing does not show either.
    """

    def __init__(
        self,
        promises: Promises,
        source: Extent,
        tally: Tally,
        guard: Guard,
        *,
        job: str,
        among: Candidates = all_documents,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            promises: of the collection.
            source: knows what it covers, and whether it could list all of that.
            tally: counts what is deleted, and what is kept.
            guard: may stop it.
            job: on whose behalf documents are deleted.
            among: names the documents that may be gone, after the listing.
        """
        self._promises = promises
        self._source = source
        self._tally = tally
        self._guard = guard
        self._job = job
        self._among = among

    async def parts(self, listing: int, known: int) -> AsyncIterator[list[Part]]:
        """Give parts without chunks, in pages; each is to be published before the next.

        Args:
            listing: the number of the listing, which has come to its end.
            known: how many documents the source had before it.

        Raises:
            GuardError: too many would be deleted; none is.
        """
        if not self._source.shows_all:
            return
        if not self._source.complete:
            self._tally.incomplete = True
            return
        count = await self._count(listing)
        if self._guard.deletions is Deletions.NEVER:
            self._tally.kept = count
            return
        if self._guard.stops(count, known):
            self._tally.kept = count
            reason = self._guard.reason(self._source.name, count, known)
            raise GuardError(f"nothing was deleted, all else is done: {reason}")
        async for gone in self._gone(listing):
            made = await self._register(gone, listing)
            yield self._parts(gone, made)

    async def _count(self, listing: int) -> int:
        """Count what would be lost."""
        count = 0
        async for gone in self._gone(listing):
            count += len(await losses(self._promises, gone))
        return count

    async def _gone(self, listing: int) -> AsyncIterator[list[Gone]]:
        """Give what is gone, in pages; within one of them nothing comes twice."""
        page: dict[str, Gone] = {}
        async for unseen in self._unseen(listing):
            for gone in unseen:
                if self._source.covers(gone.key_bytes):
                    page[gone.document_id] = gone
            if len(page) >= PAGE:
                yield list(page.values())
                page = {}
        if page:
            yield list(page.values())

    def _unseen(self, listing: int) -> AsyncIterator[list[Gone]]:
        name, among = self._source.name, self._among()
        if among is None:
            return self._promises.unseen(name, listing)
        documents = [document_id(name, key_bytes) for key_bytes in among]
        return self._promises.unseen_among(name, listing, documents)

    async def _register(self, gone: Sequence[Gone], listing: int) -> list[Registered]:
        # Whoever read one of them before now, and has not said so yet, is to look again.
        reading = await self._promises.begin_reading(self._source.name)
        return await self._promises.register(
            self._job,
            [
                Promise(
                    document_id=item.document_id,
                    source=self._source.name,
                    key_bytes=item.key_bytes,
                    content_hash=GONE,
                    chunk_count=0,
                    reading=reading,
                    unseen_since=listing,
                )
                for item in gone
            ],
        )

    def _parts(self, gone: Sequence[Gone], registered: Sequence[Registered]) -> list[Part]:
        parts = []
        for item, made in zip(gone, registered, strict=True):
            if made.outcome is Outcome.PENDING and made.job != self._job:
                self._tally.awaited_jobs.add(made.job)
            if made.outcome is Outcome.DELETED:
                self._tally.count_outcome(made.outcome, made.job)
                parts.append(gone_part(item, self._source.name, made.version))
        return parts
