"""The end of a batch: mark its parts, keep what died, delete what is stale, strike it off.

In this order, whatever it is killed between: a letter is written before the rows are deleted
that it is made of, and a document is committed only once nothing stale is left of it.
"""

import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence

from contract.batch import Batch, Part
from contract.errors import HeadraceError
from contract.ids import chunk_ids
from contract.ledger.ledger import Ledger
from contract.ledger.records import Claim, DeadLetter, PartMark, Settled, Verdict
from worker.calls import Calls
from worker.dead_letters import (
    NOT_THERE,
    Death,
    all_chunks,
    dead_letter,
    dead_parts,
    encoded_death,
    parts_of,
)
from worker.outcome import Stage
from worker.store import Store, StoredRow


class Settlement:
    """What is done for the documents of one batch once its rows are written."""

    def __init__(
        self, ledger: Ledger, store: Store, calls: Calls, claim: Claim, batch: Batch
    ) -> None:
        """Begin nothing yet."""
        self._ledger = ledger
        self._store = store
        self._calls = calls
        self._claim = claim
        self._batch = batch

    async def settle(
        self, deaths: Mapping[int, Death]
    ) -> tuple[tuple[PartMark, ...], tuple[Verdict, ...]]:
        """Do all that comes before the commit.

        Args:
            deaths: the parts that can't be ingested, by their place in the batch.

        Returns:
            What is to be told when the batch is struck off.
        """
        marks = tuple(
            self._mark(part, deaths.get(place)) for place, part in enumerate(self._batch.parts)
        )
        settled = await self._ledger.settle(marks)
        await self._bury(settled)
        await self._delete(settled)
        return marks, tuple(verdict.verdict for verdict in settled)

    def _mark(self, part: Part, death: Death | None) -> PartMark:
        record = encoded_death(self._batch, part, death, self._claim) if death else b""
        return PartMark(part.document_id, part.version, part.first, part.units, record)

    async def _bury(self, settled: Sequence[Settled]) -> None:
        """Keep a dead letter of each document that is withdrawn, as long as its rows are there."""
        withdrawn = {
            part.document_id: (part, verdict)
            for part, verdict in zip(self._batch.parts, settled, strict=True)
            if verdict.verdict is Verdict.WITHDRAW and not verdict.letter_kept
        }
        for part, verdict in withdrawn.values():
            letter = await self._letter(part, verdict)
            if not letter.payload:
                # Who was here before may have deleted the rows, but after writing the letter.
                kept = await self._ledger.letters.get([part.document_id])
                if any(other.version == part.version for other in kept):
                    continue
            await self._ledger.letters.bury([letter])

    async def _letter(self, part: Part, settled: Settled) -> DeadLetter:
        async def read(ids: Sequence[str]) -> Mapping[str, StoredRow]:
            return await self._calls.make(
                Stage.READ, lambda: self._store.read(ids, vectors=part.brings_vectors)
            )

        dead = dead_parts(settled.deaths)
        own = [
            other
            for other in self._batch.parts
            if (other.document_id, other.version) == (part.document_id, part.version)
        ]
        try:
            chunks = await all_chunks([*own, *parts_of(dead)], read)
        except HeadraceError as error:
            if not self._calls.blames(error):
                raise
            chunks = NOT_THERE
        key = await self._ledger.promises.key_bytes(part.document_id)
        return dead_letter(self._batch, part, dead, chunks, key)

    async def _delete(self, settled: Sequence[Settled]) -> None:
        """Delete the rows that the verdicts say must go."""
        parts = list(zip(self._batch.parts, settled, strict=True))
        stale = [name for part, verdict in parts for name in _stale_ids(part, verdict)]
        if stale:
            await self._calls.make(Stage.DELETE, lambda: self._store.delete(stale))
        for part, verdict in parts:
            if verdict.unknown_older:
                delete: Callable[[], Awaitable[None]] = functools.partial(
                    self._store.delete_older, part.document_id, part.version
                )
                await self._calls.make(Stage.DELETE, delete)


def _stale_ids(part: Part, settled: Settled) -> list[str]:
    """Name the rows that a verdict says must go."""
    if settled.verdict is Verdict.SUPERSEDED:
        return list(chunk_ids(part.document_id, part.version, part.ordinals))
    return [
        chunk_id
        for version, count in settled.versions
        for chunk_id in chunk_ids(part.document_id, version, range(count))
    ]
