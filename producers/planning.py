"""Planning: what is new, changed, unchanged; only the first two cost anything."""

import asyncio
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from contract.batch import Part
from contract.ids import document_id
from contract.ledger.promises import Promises
from contract.ledger.records import Outcome, Promise, Registered
from producers.document import Omission, Reason
from producers.drafting import Draft, Drafter
from producers.reading import Group, Reader
from producers.tally import Tally

WITHOUT_TEXT: Final = frozenset({Reason.EMPTY, Reason.BINARY, Reason.SPECIAL_FILE})
"""What a file may have become whose text is to be forgotten: it counts as not listed."""

MAX_READINGS = 3
"""Of one document that another producer brings in at the same time."""


class Planner:
    """Compares what a source has with what the ledger knows."""

    def __init__(
        self, promises: Promises, drafter: Drafter, reader: Reader, tally: Tally, *, job: str
    ) -> None:
        """Plan one listing of one source.

        Args:
            promises: of the collection.
            drafter: parses and cuts.
            reader: reads again what is outdated.
            tally: counts what is found.
            job: on whose behalf versions are given.
        """
        self._promises = promises
        self._drafter = drafter
        self._reader = reader
        self._tally = tally
        self._job = job

    async def plan(self, group: Group) -> list[Part]:
        """Give the documents that need work, each as one whole part, with a version.

        Unchanged documents end here, by one pipelined look-up for all. Each item is counted
        once: by what the ledger says of it, or as left out. A document for which another
        producer has promised what it read later is read again.
        """
        parts: list[Part] = []
        outdated: dict[bytes, str] = {}
        for reading in range(MAX_READINGS):
            if reading:
                again = [item for item in group.loaded if item.entry.key_bytes in outdated]
                group = await self._reader.again(again)
            found, outdated = await self._plan(group)
            parts += found
            if not outdated:
                break
        for job in outdated.values():
            self._count(Outcome.PENDING, job)
        return parts

    async def _plan(self, group: Group) -> tuple[list[Part], dict[bytes, str]]:
        """Give parts, and the keys of what is outdated, with the job of who knew better."""
        identities = [self._drafter.identity(item) for item in group.loaded]
        known = await self._promises.lookup(
            [(identity.document_id, identity.content_hash) for identity in identities],
            reading=group.reading,
        )
        work = []
        for item, identity, found in zip(group.loaded, identities, known, strict=True):
            if found is None:
                work.append((item, identity))
            else:
                self._count(found.outcome, found.job)
        drafts, unparsed = await asyncio.to_thread(self._drafter.drafts, work)
        await self._mark_seen(group, unparsed)
        for omission in (*group.omitted, *unparsed):
            self._tally.omit(omission)
        parts, outdated = [], {}
        for draft, made in zip(drafts, await self._register(drafts, group.reading), strict=True):
            if made.outcome is Outcome.OUTDATED:
                outdated[draft.entry.key_bytes] = made.job
                continue
            self._count(made.outcome, made.job)
            if made.outcome in {Outcome.NEW, Outcome.CHANGED}:
                parts.append(replace(draft.part, version=made.version, twin=made.twin))
        return parts, outdated

    async def _mark_seen(self, group: Group, unparsed: Sequence[Omission]) -> None:
        """Note what was listed, also what failed: only what has no text any more is to go."""
        without_text = {o.key_bytes for o in unparsed if o.reason in WITHOUT_TEXT}
        keys = [item.entry.key_bytes for item in group.loaded]
        keys += [o.key_bytes for o in group.omitted if o.reason not in WITHOUT_TEXT]
        name = self._drafter.source_name
        seen = [document_id(name, key) for key in keys if key not in without_text]
        await self._promises.mark_seen(name, seen)

    def _count(self, outcome: Outcome, job: str) -> None:
        self._tally.count_outcome(outcome, "" if job == self._job else job)

    async def _register(self, drafts: Sequence[Draft], reading: int) -> list[Registered]:
        """Promise the contents; some may be promised already by now."""
        if not drafts:
            return []
        return await self._promises.register(
            self._job,
            [
                Promise(
                    document_id=draft.part.document_id,
                    source=draft.part.source,
                    key_bytes=draft.entry.key_bytes,
                    content_hash=draft.part.content_hash,
                    chunk_count=draft.part.chunk_count,
                    reading=reading,
                )
                for draft in drafts
            ],
        )
