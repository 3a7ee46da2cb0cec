"""A dry run: everything that an import would find out, and nothing that it would do."""

import asyncio
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing

import numpy as np

from contract.ids import document_id
from contract.ledger.connection import check, connect, translated
from contract.ledger.promises import Promises
from contract.ledger.records import Gone, Outcome
from contract.prices import cost_usd, price_of
from contract.settings import Settings
from headrace.forecast import Forecast, Named
from headrace.namesakes import refuse_namesakes
from headrace.summary import left_of
from headrace.tokens import counter_of
from producers.deleting import Deletions, Guard, losses
from producers.document import Omission, printable
from producers.drafting import Draft, Drafter
from producers.glancing import Glance
from producers.planning import WITHOUT_TEXT, sheaves
from producers.pool.pool import Pool, cores
from producers.reading import Group, Reader
from producers.sources.source import Source
from producers.spending import tokens_of
from producers.splitting import SplitOptions
from producers.tally import Tally

NAMED = 1_000
"""How many documents of each fate are named; all are counted."""

_EVERY_LISTING = 2**53
"""A number that no listing reaches: whatever the ledger knows is unseen by it."""


async def dry_run(
    settings: Settings,
    sources: Sequence[Source],
    deletions: Deletions,
    *,
    named: bool,
    verify_contents: bool = False,
) -> list[Forecast]:
    """Look at sources one after the other.

    Args:
        settings: name the Redis of the ledger; without one, nothing is known yet.
        sources: what would be imported.
        deletions: what would become of documents that a source has no more.
        named: the user named the source, so it may have moved.
        verify_contents: read also what, by its stamp, has not changed.

    Raises:
        UnreachableError: Redis does not answer.
        UsageError: a source was imported from another place.
    """
    collection = settings.collection
    if settings.redis_url is None:
        return [await DryRun(settings, item, collection, None).look() for item in sources]
    redis = connect(settings)
    try:
        await check(redis, settings)
        with translated(settings):
            promises = Promises(redis, collection)
            if not named:
                await refuse_namesakes(promises, sources)
            return [
                await DryRun(
                    settings, item, collection, promises, deletions, verify_contents=verify_contents
                ).look()
                for item in sources
            ]
    finally:
        await redis.aclose()


class DryRun:
    """Looks at one source; reads the ledger and writes nothing, anywhere."""

    def __init__(
        self,
        settings: Settings,
        source: Source,
        collection: str,
        promises: Promises | None,
        deletions: Deletions = Deletions.GUARDED,
        *,
        verify_contents: bool = False,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            settings: how to cut, and what embedding costs.
            source: what would be imported.
            collection: where to.
            promises: of the collection; None where there is no ledger yet.
            deletions: what would become of documents that the source has no more.
            verify_contents: read also what, by its stamp, has not changed.
        """
        self._settings = settings
        self._source = source
        self._collection = collection
        self._promises = promises
        self._guard = Guard(deletions, settings.max_delete_share)
        options = SplitOptions.of(settings)
        self._drafter = Drafter(source, options)
        self._known = (
            None
            if promises is None or verify_contents
            else Glance(promises, self._drafter, source).known
        )
        self._count = counter_of(settings)
        self._tally = Tally()
        self._fates = Counter[str]()
        self._named: list[Named] = []
        self._chunks = 0
        self._tokens = 0
        # Half a digest for each document that is not gone: 8 bytes, so that a million fit.
        self._seen = array("Q")

    async def look(self) -> Forecast:
        """List, read, parse and split everything, and ask the ledger about it."""
        begun = time.monotonic()
        reader = Reader(self._source, self._settings.max_document_bytes, _unnumbered, self._known)
        processes = self._settings.producer_processes or cores()
        async with (
            Pool(self._drafter.recipe, processes) as pool,
            aclosing(reader.groups()) as groups,
        ):
            async for group in groups:
                await self._look_at(group, pool)
        guard = await self._look_for_gone()
        outcomes = self._tally.outcomes
        return Forecast(
            source=self._source.name,
            collection=self._collection,
            new=self._fates["new"],
            changed=self._fates["changed"],
            deleted=self._fates["deleted"],
            unchanged=outcomes[Outcome.UNCHANGED],
            resumed=outcomes[Outcome.PENDING],
            skipped=self._tally.skipped,
            failed=self._tally.failed,
            kept=self._tally.kept,
            incomplete=self._tally.incomplete,
            guard=guard,
            chunks=self._chunks,
            tokens=self._tokens,
            cost_usd=cost_usd(self._tokens, price_of(self._settings)),
            seconds=round(time.monotonic() - begun, 3),
            documents=tuple(self._named),
            left_out=left_of(self._tally),
        )

    async def _look_at(self, group: Group, pool: Pool) -> None:
        assignments = [self._drafter.assignment(item) for item in group.loaded]
        known = await self._lookup(
            [(item.identity.document_id, item.identity.content_hash) for item in assignments]
        )
        for _, registered in group.known:
            self._tally.count_outcome(registered.outcome, "")
        work = []
        for assignment, found in zip(assignments, known, strict=True):
            if found is None:
                work.append(assignment)
            else:
                self._tally.count_outcome(found, "")
        drafted = await asyncio.gather(*map(pool.draft, sheaves(work)))
        drafts = [item for sheaf in drafted for item in sheaf if isinstance(item, Draft)]
        unparsed = [item for sheaf in drafted for item in sheaf if isinstance(item, Omission)]
        for omission in (*group.omitted, *unparsed):
            self._tally.omit(omission)
        self._tally.failures.clear()
        await self._judge(drafts)
        gone = {o.key_bytes for o in (*group.omitted, *unparsed) if o.reason in WITHOUT_TEXT}
        keys = [item.entry.key_bytes for item in group.loaded]
        keys += [entry.key_bytes for entry, _ in group.known]
        keys += [omission.key_bytes for omission in group.omitted]
        self._seen.extend(
            _half(document_id(self._source.name, key)) for key in keys if key not in gone
        )

    async def _lookup(self, documents: Sequence[tuple[str, str]]) -> list[Outcome | None]:
        if self._promises is None:
            return [None] * len(documents)
        found = await self._promises.lookup(documents)
        return [item.outcome if item else None for item in found]

    async def _judge(self, drafts: Sequence[Draft]) -> None:
        """Tell what is new from what has changed, and count what is to be embedded."""
        committed = [0] * len(drafts)
        if self._promises is not None and drafts:
            ids = [draft.part.document_id for draft in drafts]
            committed = [stands.committed for stands in await self._promises.standing(ids)]
        for draft, version in zip(drafts, committed, strict=True):
            self._name(draft.entry.key, "changed" if version else "new")
            self._chunks += draft.part.chunk_count
        self._tokens += await asyncio.to_thread(
            lambda: sum(tokens_of(draft.part, self._count) for draft in drafts)
        )

    async def _look_for_gone(self) -> str:
        """Count what would be deleted; returns why a guard would stop that, if one would."""
        promises, source = self._promises, self._source
        if promises is None or not source.shows_all:
            return ""
        if not source.complete:
            self._tally.incomplete = True
            return ""
        known = await promises.count(source.name)
        seen = np.sort(np.frombuffer(self._seen, np.uint64))
        async for page in promises.unseen(source.name, _EVERY_LISTING):
            gone = [item for item in _unseen(page, seen) if source.covers(item.key_bytes)]
            for item in await losses(promises, gone):
                self._name(printable(item.key_bytes), "deleted")
        count = self._fates["deleted"]
        guard = ""
        if self._guard.stops(count, known):
            guard = self._guard.reason(source.name, count, known)
        if guard or self._guard.deletions is Deletions.NEVER:
            self._tally.kept = self._fates.pop("deleted", 0)
            self._named = [
                Named(named.key, "gone") if named.fate == "deleted" else named
                for named in self._named
            ]
        return guard

    def _name(self, key: str, fate: str) -> None:
        self._fates[fate] += 1
        if self._fates[fate] <= NAMED:
            self._named.append(Named(key, fate))


async def _unnumbered() -> int:
    """Give no number: what is read is promised to nobody."""
    return 0


def _half(document: str) -> int:
    return int(document[:16], 16)


def _unseen(
    page: Sequence[Gone], seen: "np.ndarray[tuple[int], np.dtype[np.uint64]]"
) -> list[Gone]:
    """Leave out what was seen; that two of a million halves are mixed up has a chance of 10^-7."""
    halves = np.array([_half(item.document_id) for item in page], np.uint64)
    at = np.searchsorted(seen, halves)
    found = (at < len(seen)) & (np.take(seen, at, mode="clip") == halves) if len(seen) else at < 0
    return [item for item, was_seen in zip(page, found, strict=True) if not was_seen]
