"""A worker that does each step of its procedure and no more; it may die after any of them."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import msgspec

from contract.batch import Batch, Part, decode, encode
from contract.ids import chunk_id, chunk_ids
from contract.ledger.ledger import Ledger
from contract.ledger.records import (
    ClaimState,
    DeadLetter,
    DeadPart,
    Finish,
    PartMark,
    Settled,
    Verdict,
)
from tests.contract.ledger.world import POISON, SOURCE, World

Deaths = dict[str, dict[int, DeadPart]]


class Worker:
    """One worker at one batch."""

    def __init__(  # noqa: PLR0913 - what may be drawn
        self,
        ledger: Ledger,
        world: World,
        batch_id: str,
        owner: str,
        *,
        lease_seconds: float = 60.0,
        refused: tuple[str, ...] = (POISON,),
        splits: bool = False,
        calls: int = 1,
    ) -> None:
        """Be ready for the first step, the claim.

        Args:
            ledger: of the collection.
            world: holds the rows.
            batch_id: what it heard of.
            owner: of its lease.
            lease_seconds: 0 for one that has run out at once.
            refused: texts that the model refuses.
            splits: whether it takes the batch for one that kills workers, and halves it.
            calls: 2 for one whose first answers are lost, so that it calls again.
        """
        self.ledger = ledger
        self.world = world
        self.batch_id = batch_id
        self.owner = owner
        self.lease_seconds = lease_seconds
        self.refused = refused
        self.splits = splits
        self.calls = calls
        self.armed = False
        """It has found its lease good, and writes next, however late that is."""
        self._steps = self._procedure()

    async def step(self) -> bool:
        """Do one step; False when it was the last."""
        return await anext(self._steps, self) is None

    async def run(self) -> None:
        """Do all steps that are left."""
        while await self.step():
            pass

    async def _procedure(self) -> AsyncIterator[None]:  # noqa: C901 - one list of steps
        for _ in range(self.calls):
            claim = await self.ledger.claim(self.batch_id, self.owner, self.lease_seconds)
        if claim.state is not ClaimState.CLAIMED:
            return
        yield
        batch = decode(claim.payload)
        pieces = halves(batch)
        if self.splits and pieces:
            await self.ledger.mark_alone(self.batch_id, self.owner)
            yield
            if await self.ledger.split(self.batch_id, self.owner, batch, pieces):
                self.world.split(batch, pieces)
            return
        standing = await self.ledger.standing([part.document_id for part in batch.parts])
        yield
        marks = [self._mark(batch, part) for part in batch.parts]
        written = 0
        for part, mark, stands in zip(batch.parts, marks, standing, strict=True):
            if part.chunks and not mark.death and stands.wants(part.version):
                if not await self._has_lease():
                    return
                self.armed = True
                yield
                self._write(part)
                self.armed = False
                written += len(part.chunks)
                yield
        settled = await self._settle(marks)
        yield
        missing = withdrawn(batch, settled)
        letters = [letter_of(batch, part, verdict, self.world.milvus) for part, verdict in missing]
        if None in letters:  # another one has written it, and deleted the rows since
            settled = await self._settle(marks)
            assert not withdrawn(batch, settled)
        elif letters:
            yield
            await self.ledger.letters.bury(found for found in letters if found is not None)
        yield
        for part, verdict in zip(batch.parts, settled, strict=True):
            self._delete(part, verdict)
        yield
        verdicts = tuple(item.verdict for item in settled)
        for _ in range(self.calls):
            await self.ledger.finish(
                self.batch_id, batch.job, Finish(tuple(marks), verdicts, written, 0)
            )

    async def _has_lease(self) -> bool:
        return await self.ledger.renew(self.batch_id, self.owner, self.lease_seconds)

    async def _settle(self, marks: list[PartMark]) -> list[Settled]:
        self.world.settle(marks)
        for _ in range(self.calls):
            settled = await self.ledger.settle(marks)
        return settled

    def _mark(self, batch: Batch, part: Part) -> PartMark:
        guilty = tuple(
            ordinal
            for ordinal, chunk in zip(part.ordinals, part.chunks, strict=True)
            if chunk.text in self.refused
        )
        death = death_of(batch, part, guilty) if guilty else b""
        return PartMark(part.document_id, part.version, part.first, part.units, death)

    def _write(self, part: Part) -> None:
        for ordinal, chunk in zip(part.ordinals, part.chunks, strict=True):
            self.world.milvus[chunk_id(part.document_id, part.version, ordinal)] = chunk.text

    def _delete(self, part: Part, settled: Settled) -> None:
        self.world.delete(stale(part, settled))
        if settled.unknown_older:
            older = [
                row
                for row in self.world.milvus
                if row.split(":")[0] == part.document_id and int(row.split(":")[1]) < part.version
            ]
            self.world.delete(older)


def withdrawn(batch: Batch, settled: list[Settled]) -> list[tuple[Part, Settled]]:
    """Name the parts whose documents need a dead letter."""
    return [
        (part, verdict)
        for part, verdict in zip(batch.parts, settled, strict=True)
        if verdict.verdict is Verdict.WITHDRAW and not verdict.letter_kept
    ]


def halves(batch: Batch) -> list[Batch]:
    """Cut a batch in two: its parts, or the chunks of its only one; none if it is too small."""
    parts: Sequence[Part] = batch.parts
    if len(parts) == 1 and len(parts[0].chunks) > 1:
        (part,), middle = parts, len(parts[0].chunks) // 2
        cut: Callable[..., Part] = msgspec.structs.replace
        parts = [
            cut(part, chunks=part.chunks[:middle]),
            cut(part, first=part.first + middle, chunks=part.chunks[middle:]),
        ]
    if len(parts) == 1:
        return []
    middle = len(parts) // 2
    return [
        Batch(collection=batch.collection, job=batch.job, parts=tuple(some))
        for some in (parts[:middle], parts[middle:])
    ]


def stale(part: Part, settled: Settled) -> Iterator[str]:
    """Name the rows that a verdict says must go."""
    if settled.verdict is Verdict.SUPERSEDED:
        return chunk_ids(part.document_id, part.version, part.ordinals)
    return itertools.chain.from_iterable(
        chunk_ids(part.document_id, version, range(count)) for version, count in settled.versions
    )


def death_of(batch: Batch, part: Part, ordinals: tuple[int, ...]) -> bytes:
    """Say why a part can't be ingested."""
    alone = Batch(collection=batch.collection, job=batch.job, parts=(part,))
    return msgspec.msgpack.encode(
        DeadPart(
            stage="embed",
            reason="refused",
            message="",
            first_error="",
            attempts=0,
            at_ms=0,
            ordinals=ordinals,
            payload=encode(alone),
        )
    )


def letter_of(
    batch: Batch, part: Part, settled: Settled, milvus: dict[str, str]
) -> DeadLetter | None:
    """Make the dead letter of a document, or None if rows that it needs are gone."""
    deaths = [msgspec.msgpack.decode(death, type=DeadPart) for death in settled.deaths]
    own = [p for p in batch.parts if (p.document_id, p.version) == (part.document_id, part.version)]
    known = own + [p for death in deaths for p in decode(death.payload).parts]
    texts = {
        ordinal: chunk.text
        for some in known
        for ordinal, chunk in zip(some.ordinals, some.chunks, strict=True)
    }
    for ordinal in range(part.chunk_count):
        row = chunk_id(part.document_id, part.version, ordinal)
        if ordinal not in texts and row not in milvus:
            return None
        texts.setdefault(ordinal, milvus.get(row, ""))
    return letter(
        part.document_id,
        part.version,
        job=batch.job,
        ordinals=tuple(ordinal for death in deaths for ordinal in death.ordinals),
        payload=msgspec.msgpack.encode([part.content_hash, [texts[at] for at in sorted(texts)]]),
    )


def letter(
    document: str,
    version: int = 0,
    *,
    job: str = "j",
    at_ms: int = 0,
    ordinals: tuple[int, ...] = (),
    payload: bytes = b"",
) -> DeadLetter:
    """Make a dead letter."""
    return DeadLetter(
        document_id=document,
        version=version,
        source=SOURCE,
        key=document,
        key_bytes=document.encode(),
        job=job,
        stage="embed",
        reason="refused",
        message="",
        at_ms=at_ms,
        ordinals=ordinals,
        payload=payload,
    )
