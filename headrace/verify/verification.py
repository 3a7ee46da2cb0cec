"""A whole verification: source, ledger and Milvus compared, mended if so wished, compared again."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from contract.errors import UsageError
from contract.ledger.connection import check, connect, translated
from contract.ledger.promises import Promises
from contract.ledger.rebuilding import Rebuilding
from headrace.progress import Progress
from headrace.session import Session
from headrace.verify.bookkeeping import check_books
from headrace.verify.commitments import Commitments
from headrace.verify.contents import compare_sources
from headrace.verify.differences import IN_SOURCE, UNOWNED, Difference, Findings
from headrace.verify.duplicates import Duplicates
from headrace.verify.origins import find_sources
from headrace.verify.rereading import read_again
from headrace.verify.rows import Rows
from headrace.verify.stocktaking import Mend, Stocktaking
from producers.sources.files import FileSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to compare, and what to do about it."""

    collection: str
    given: Sequence[FileSource] = ()
    """Sources that the user named; none: those of the ledger whose folders are here."""
    repair: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """Who is told, and asked."""

    say: Callable[[str], None]
    on_difference: Callable[[Difference], None]
    """Told of each as it is found, by the first look alone."""
    on_progress: Callable[[Progress], None]
    may_delete: Callable[[int], bool]
    """Asked, once, whether so many rows that nobody owns may go."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome."""

    collection: str
    found: Findings
    """By the first look."""
    left: Findings
    """By the last one; the same if nothing was to be mended."""
    reread: int
    """Documents that were read again."""
    seconds: float

    @property
    def equal(self) -> bool:
        """Tell whether source, ledger and Milvus agree now."""
        return self.left.equal

    def as_dict(self) -> dict[str, Any]:
        """Give the fields, for JSON."""
        return {
            "collection": self.collection,
            "equal": self.equal,
            "documents": self.left.documents,
            "rows": self.left.rows_read,
            "in_progress": self.left.in_progress,
            "in_quarantine": self.left.in_quarantine,
            "found": dict(self.found.subjects),
            "found_rows": dict(self.found.rows),
            "left": dict(self.left.left),
            "reread": self.reread,
            "differences": [difference.as_dict() for difference in self.found.named],
            "notes": list(dict.fromkeys([*self.found.notes, *self.left.notes])),
            "seconds": round(self.seconds, 3),
        }


async def verify(session: Session, options: Options, callbacks: Callbacks) -> Verdict:
    """Compare, mend if that is wished for, and compare again what was mended.

    Killed anywhere, the same again does the rest: what is to be read again stands in the
    ledger, and everything else is found by looking.

    Raises:
        CancelledJobError: a job of the repair was cancelled from elsewhere.
        CollectionMismatchError: the collection is not one of headrace's.
        UnreachableError: a server does not answer.
        UsageError: there is no such collection, or a source that the user named was imported
            from another place.
    """
    begun = time.monotonic()
    settings = session.settings
    redis = connect(settings)
    try:
        await check(redis, settings)
        with translated(settings):
            here, elsewhere = await find_sources(Promises(redis, options.collection), options.given)
        look = _Look(session, redis, options, list(here.values()))
        found = Findings(callbacks.on_difference)
        for name, origin in elsewhere.items():
            found.note(f"source {name} ({origin or 'place unknown'}) is not here: not compared")
        await look.run(found, Mend(rows=options.repair), invalidate=options.repair)
        if not options.repair or not found.left.keys() - IN_SOURCE:
            return Verdict(options.collection, found, found, 0, time.monotonic() - begun)
        unowned = sum(found.rows[kind] for kind in UNOWNED)
        may_delete = bool(unowned) and callbacks.may_delete(unowned)
        reread = await read_again(
            session,
            options.collection,
            here,
            found,
            on_progress=callbacks.on_progress,
            say=callbacks.say,
        )
        left = Findings()
        await look.run(left, Mend(rows=True, unowned=may_delete), invalidate=False)
    finally:
        await redis.aclose()
    return Verdict(options.collection, found, left, reread, time.monotonic() - begun)


class _Look:
    """One look at everything."""

    def __init__(
        self, session: Session, redis: Redis, options: Options, sources: Sequence[FileSource]
    ) -> None:
        self._settings = session.settings
        self._redis = redis
        self._collection = options.collection
        self._repair = options.repair
        self._sources = sources

    async def run(self, findings: Findings, mend: Mend, *, invalidate: bool) -> None:
        settings, redis = self._settings, self._redis
        rebuilding = Rebuilding(redis, self._collection)
        with translated(settings):
            async with Rows.open(settings, self._collection) as rows:
                if not rows.exists and not await rebuilding.sources():
                    raise UsageError(
                        f"nothing is known of a collection {self._collection!r}; import something "
                        "into it first, or name another one with --collection"
                    )
                at_rest = await check_books(redis, self._collection, findings, mend=mend.rows)
                await Stocktaking(rows, rebuilding, findings, mend).take()
                if mend.rows and rows.exists:
                    await rebuilding.mark_built()
                await Commitments(
                    rows, rebuilding, findings, at_rest=at_rest, mend=invalidate
                ).check()
                if at_rest:
                    await Duplicates(rows, rebuilding, findings, mend=invalidate).look()
            await compare_sources(
                settings,
                self._collection,
                Promises(redis, self._collection),
                self._sources,
                findings,
            )
