"""Planning: what is new, changed, unchanged; only the first two cost anything."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice
from typing import Final

from msgspec.structs import replace

from contract.batch import Part
from contract.ids import document_id
from contract.ledger.promises import Promises
from contract.ledger.records import Outcome, Promise, Registered
from contract.tasks import end
from contract.tracing import span
from producers.document import Omission, Reason
from producers.document_traces import DocumentTraces
from producers.drafting import Assignment, Draft, Drafter
from producers.pool.desk import Drafted
from producers.pool.pool import Pool
from producers.reading import Group, Loaded, Reader
from producers.spending import Read, Spending
from producers.tally import Tally

WITHOUT_TEXT: Final = frozenset({Reason.EMPTY, Reason.BINARY, Reason.SPECIAL_FILE, Reason.GONE})
"""What a file or page may have become whose text is to be forgotten: it counts as not listed."""

MAX_READINGS = 3
"""Of one document that another producer brings in at the same time."""

SHEAF_DOCUMENTS: Final = 16
"""Documents that are drafted by one process, and promised together."""
SHEAF_BYTES: Final = 256 * 1024
SHEAVES_AHEAD: Final = 4
"""For each process, before the next group is looked up."""


@dataclass(frozen=True, slots=True)
class _Sheaf:
    """Documents of one group that need work, being drafted."""

    reading: int
    items: Sequence[Loaded]
    drafting: "asyncio.Task[Drafted]"


class Planner:
    """Compares what a source has with what the ledger knows."""

    def __init__(
        self,
        promises: Promises,
        drafter: Drafter,
        pool: Pool,
        reader: Reader,
        tally: Tally,
        spending: Spending,
        traces: DocumentTraces,
    ) -> None:
        """Plan one listing of one source.

        Args:
            promises: of the collection.
            drafter: names documents.
            pool: parses and cuts; the caller closes it.
            reader: reads, and reads again what is outdated.
            tally: counts what is found.
            spending: of the job on whose behalf versions are given.
            traces: hear which span drafts which documents.
        """
        self._promises = promises
        self._drafter = drafter
        self._pool = pool
        self._reader = reader
        self._tally = tally
        self._spending = spending
        self._traces = traces
        self._sheaves: deque[_Sheaf] = deque()

    async def parts(self) -> AsyncGenerator[list[Part]]:
        """Give the documents that need work, each as one whole part, with a version.

        In the order of the listing, in lists that may be empty. While some are promised and
        given, the next are read, looked up and drafted. Unchanged documents end at one look-up
        for all of a group, before they are parsed, and mostly before they are read. Each item
        is counted once: by what the ledger says of it, or as left out. A document for which
        another producer has promised what it read later is read again. Ends early, and says so
        in the tally, once a budget is reached; whenever spending is short, what was given is to
        be published before the next.
        """
        async with aclosing(self._reader.groups()) as groups:
            coming = asyncio.create_task(_next(groups))
            try:
                while not self._tally.held:
                    first = [sheaf.drafting for sheaf in islice(self._sheaves, 1)]
                    group = coming.result() if coming.done() else None
                    if group is not None and self._has_room_for(group):
                        coming = asyncio.create_task(_next(groups))
                        await self._begin(group)
                        yield []
                    elif first and (coming.done() or first[0].done()):
                        async with aclosing(self._promised()) as promised:
                            async for parts in promised:
                                yield parts
                    elif coming.done():
                        break
                    else:
                        await asyncio.wait([coming, *first], return_when=asyncio.FIRST_COMPLETED)
            finally:
                await end(coming)
                for sheaf in self._sheaves:
                    await end(sheaf.drafting)

    def _has_room_for(self, group: Group) -> bool:
        """Tell whether a group may be looked up already.

        Not while documents of the same key are being drafted (a program may give one twice):
        what the ledger says of the later one would not count the earlier one in.
        """
        if not self._sheaves:
            return True
        drafted = {item.entry.key_bytes for sheaf in self._sheaves for item in sheaf.items}
        return len(self._sheaves) < SHEAVES_AHEAD * self._pool.processes and drafted.isdisjoint(
            item.entry.key_bytes for item in group.loaded
        )

    async def _begin(self, group: Group) -> None:
        """Look a group up, and have drafted what needs work."""
        self._tally.listed += group.listed
        self._tally.source_bytes += group.size_bytes
        work = await self._look_up(group)
        for _, found in group.known:
            self._count(found.outcome, found.job)
        for omission in group.omitted:
            self._tally.omit(omission)
        later = {assignment.item.entry.key_bytes for assignment in work}
        keys = [item.entry.key_bytes for item in group.loaded]
        keys += [entry.key_bytes for entry, _ in group.known]
        keys += [o.key_bytes for o in group.omitted if o.reason not in WITHOUT_TEXT]
        await self._mark_seen(key for key in keys if key not in later)
        for assignments in sheaves(work):
            drafting = asyncio.create_task(self._draft(assignments, group.trace))
            self._sheaves.append(_Sheaf(group.reading, [a.item for a in assignments], drafting))

    async def _draft(self, assignments: Sequence[Assignment], trace: str) -> Drafted:
        with span("draft", parent=trace, documents=len(assignments)) as drafting:
            names = (assignment.identity.document_id for assignment in assignments)
            self._traces.note(names, drafting.get_span_context())
            return await self._pool.draft(assignments)

    async def _promised(self) -> AsyncGenerator[list[Part]]:
        """Wait for the first sheaf, and promise it with those behind it, as budgets bear it."""
        await asyncio.wait([self._sheaves[0].drafting])
        ready: list[_Sheaf] = []
        while self._sheaves and self._sheaves[0].drafting.done():
            ready.append(self._sheaves.popleft())
        items = {item.entry.key_bytes: item for sheaf in ready for item in sheaf.items}
        drafted = [(sheaf.reading, item) for sheaf in ready for item in sheaf.drafting.result()]
        async with aclosing(self._spending.portions(drafted)) as portions:
            async for portion in portions:
                yield await self._promise_newest(portion, items)
        self._tally.held = self._spending.held

    async def _promise_newest(
        self, drafted: Sequence[Read], items: Mapping[bytes, Loaded]
    ) -> list[Part]:
        """Promise what was drafted; what another has read later is read again."""
        parts, outdated = await self._promise(drafted)
        for _ in range(MAX_READINGS - 1):
            if not outdated:
                break
            group = await self._reader.again([items[key] for key in outdated])
            for omission in group.omitted:
                self._tally.omit(omission)
            work = await self._look_up(group)
            again = await self._pool.draft(work)
            found, outdated = await self._promise([(group.reading, item) for item in again])
            parts += found
        for job in outdated.values():
            self._count(Outcome.PENDING, job)
        return parts

    async def _look_up(self, group: Group) -> list[Assignment]:
        """Count what needs no work, and give what does."""
        assignments = [self._drafter.assignment(item) for item in group.loaded]
        known = await self._promises.lookup(
            [(item.identity.document_id, item.identity.content_hash) for item in assignments],
            reading=group.reading,
            stamps=[item.identity.stamp for item in assignments],
        )
        work = []
        for assignment, found in zip(assignments, known, strict=True):
            if found is None:
                work.append(assignment)
            else:
                self._count(found.outcome, found.job)
        return work

    async def _promise(self, drafted: Sequence[Read]) -> tuple[list[Part], dict[bytes, str]]:
        """Give parts, and the keys of what is outdated, with the job of who knew better."""
        drafts = [(reading, item) for reading, item in drafted if isinstance(item, Draft)]
        unparsed = [item for _, item in drafted if isinstance(item, Omission)]
        seen = [draft.entry.key_bytes for _, draft in drafts]
        # What failed is not gone: only what has no text any more is.
        seen += [omission.key_bytes for omission in unparsed if omission.reason not in WITHOUT_TEXT]
        await self._mark_seen(seen)
        for omission in unparsed:
            self._tally.omit(omission)
        parts, outdated = [], {}
        for (_, draft), made in zip(drafts, await self._register(drafts), strict=True):
            if made.outcome is Outcome.OUTDATED:
                outdated[draft.entry.key_bytes] = made.job
                continue
            self._count(made.outcome, made.job)
            if made.outcome in {Outcome.NEW, Outcome.CHANGED}:
                parts.append(replace(draft.part, version=made.version, twin=made.twin))
        return parts, outdated

    async def _mark_seen(self, keys: Iterable[bytes]) -> None:
        """Note what was listed, whatever becomes of it."""
        name = self._drafter.recipe.source_name
        await self._promises.mark_seen(name, [document_id(name, key) for key in keys])

    def _count(self, outcome: Outcome, job: str) -> None:
        self._tally.count_outcome(outcome, "" if job == self._spending.job else job)

    async def _register(self, drafts: Sequence[tuple[int, Draft]]) -> list[Registered]:
        """Promise the contents; some may be promised already by now."""
        if not drafts:
            return []
        return await self._promises.register(
            self._spending.job,
            [
                Promise(
                    document_id=draft.part.document_id,
                    source=draft.part.source,
                    key_bytes=draft.entry.key_bytes,
                    content_hash=draft.part.content_hash,
                    chunk_count=draft.part.chunk_count,
                    reading=reading,
                    stamp=draft.stamp,
                )
                for reading, draft in drafts
            ],
        )


def sheaves(work: Iterable[Assignment]) -> Iterator[list[Assignment]]:
    """Part what needs work into what one process drafts at a time, in order."""
    sheaf: list[Assignment] = []
    size = 0
    for assignment in work:
        sheaf.append(assignment)
        size += assignment.size_bytes
        if len(sheaf) >= SHEAF_DOCUMENTS or size >= SHEAF_BYTES:
            yield sheaf
            sheaf, size = [], 0
    if sheaf:
        yield sheaf


async def _next(groups: AsyncGenerator[Group]) -> Group | None:
    return await anext(groups, None)
