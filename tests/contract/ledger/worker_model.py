"""A model of documents, and a worker that does each step of its procedure and no more."""

import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from contract.batch import Batch, Chunk, Part, decode
from contract.ids import chunk_id, chunk_ids
from contract.ledger.ledger import Ledger
from contract.ledger.records import ClaimState, DeadLetter, Finish, PartMark, Settled, Verdict

SOURCE = "shelf"
POISON = "poison"
FLAKY = "flaky"
CONTENTS: dict[str, tuple[str, ...]] = {
    "good": ("a", "b", "c"),
    "deleted": (),
    "better": ("b", "x", "c", "y"),
    "poisoned": ("a", "b", POISON),
    "flaky": ("a", "b", FLAKY),
}
PART_CHUNKS = 2


@dataclass
class Version:
    """One version of a document.

    Attributes:
        number: the ledger's number of it.
        content: which of CONTENTS it is.
        published: first ordinal of a published part -> its units.
        marks: first ordinal of a part that is done -> whether it was found dead.
    """

    number: int
    content: str
    published: dict[int, int] = field(default_factory=dict)
    marks: dict[int, bool] = field(default_factory=dict)

    @property
    def units(self) -> int:
        """What all its parts add up to."""
        return len(CONTENTS[self.content]) or 1

    @property
    def is_published(self) -> bool:
        """Tell whether all its parts are published."""
        return sum(self.published.values()) >= self.units

    @property
    def is_done(self) -> bool:
        """Tell whether all its parts are marked."""
        return sum(self.published[first] for first in self.marks) >= self.units

    @property
    def is_dead(self) -> bool:
        """Tell whether a part was found dead."""
        return any(self.marks.values())


@dataclass
class World:
    """What workers change besides the ledger.

    Attributes:
        milvus: chunk id -> text.
        wanted: document -> its newest version.
        committed: document -> the last one before it that was written to the last part.
    """

    milvus: dict[str, str] = field(default_factory=dict)
    wanted: dict[str, Version] = field(default_factory=dict)
    committed: dict[str, Version] = field(default_factory=dict)

    def promise(self, document: str, version: Version) -> None:
        """Put a version in the place of the one before."""
        before = self.wanted.get(document)
        if before and before.is_done and not before.is_dead:
            self.committed[document] = before
        self.wanted[document] = version

    def publish(self, batch: Batch) -> None:
        """Note what of the wanted versions is published."""
        for part in batch.parts:
            wanted = self.wanted[part.document_id]
            if wanted.number == part.version:
                wanted.published[part.first] = part.units

    def settle(self, marks: list[PartMark]) -> None:
        """Note what is done; the first to say so is right."""
        for mark in marks:
            wanted = self.wanted.get(mark.document_id)
            if wanted and wanted.number == mark.version:
                wanted.marks.setdefault(mark.first, mark.dead)

    def rows(self) -> dict[str, str]:
        """Say what Milvus must hold when everything is at rest."""
        rows: dict[str, str] = {}
        for document, wanted in self.wanted.items():
            version = self.committed.get(document) if wanted.is_dead else wanted
            if version is not None:
                texts = CONTENTS[version.content]
                ids = chunk_ids(document, version.number, range(len(texts)))
                rows |= dict(zip(ids, texts, strict=True))
        return rows


class Worker:
    """One worker at one batch; it may die after any step."""

    def __init__(
        self,
        ledger: Ledger,
        world: World,
        batch_id: str,
        owner: str,
        *,
        lease_seconds: float = 60.0,
        refused: tuple[str, ...] = (POISON,),
    ) -> None:
        """Be ready for the first step, the claim."""
        self.ledger = ledger
        self.world = world
        self.batch_id = batch_id
        self.owner = owner
        self.lease_seconds = lease_seconds
        self.refused = refused
        self.must_live = False
        """It wrote without a lease: should it die now, only the quarantine would help."""
        self._steps = self._procedure()

    async def step(self) -> bool:
        """Do one step; False when it was the last."""
        return await anext(self._steps, self) is None

    async def run(self) -> None:
        """Do all steps that are left."""
        while await self.step():
            pass

    async def _procedure(self) -> AsyncIterator[None]:
        claim = await self.ledger.claim(self.batch_id, self.owner, self.lease_seconds)
        if claim.state is not ClaimState.CLAIMED:
            return
        yield
        batch = decode(claim.payload)
        wanted = await self.ledger.wanted([part.document_id for part in batch.parts])
        yield
        marks = [self._mark(part) for part in batch.parts]
        written = 0
        for part, mark, version in zip(batch.parts, marks, wanted, strict=True):
            if part.chunks and not mark.dead and version == part.version:
                await self._write(part)
                written += len(part.chunks)
                yield
        self.world.settle(marks)
        settled = await self.ledger.settle(marks)
        yield
        for part, verdict in zip(batch.parts, settled, strict=True):
            for row in stale(part, verdict):
                self.world.milvus.pop(row, None)
        yield
        verdicts = tuple(item.verdict for item in settled)
        letters = tuple(letter(batch.job, mark) for mark in marks if mark.dead)
        finish = Finish(tuple(marks), verdicts, written, 0, letters)
        await self.ledger.finish(self.batch_id, batch.job, finish)

    def _mark(self, part: Part) -> PartMark:
        dead = any(chunk.text in self.refused for chunk in part.chunks)
        return PartMark(part.document_id, part.version, part.first, part.units, dead)

    async def _write(self, part: Part) -> None:
        key = self.ledger.keys.batch(self.batch_id)
        owner = await self.ledger.redis.hget(key, "owner")
        self.must_live |= owner != self.owner.encode()
        for ordinal, chunk in zip(part.ordinals, part.chunks, strict=True):
            self.world.milvus[chunk_id(part.document_id, part.version, ordinal)] = chunk.text


def stale(part: Part, settled: Settled) -> Iterator[str]:
    """Name the rows that a verdict says must go."""
    if settled.verdict is Verdict.SUPERSEDED:
        return chunk_ids(part.document_id, part.version, part.ordinals)
    return itertools.chain.from_iterable(
        chunk_ids(part.document_id, version, range(count)) for version, count in settled.versions
    )


def letter(job: str, mark: PartMark) -> DeadLetter:
    """Make the dead letter of a part."""
    return DeadLetter(
        id=f"{mark.document_id}:{mark.version}:{mark.first}",
        document_id=mark.document_id,
        source=SOURCE,
        key=mark.document_id,
        job=job,
        stage="embed",
        reason="refused",
        message="",
        at_ms=0,
    )


def parts_of(document: str, version: int, content: str) -> list[Part]:
    """Cut a document into parts, always in the same places."""
    texts = CONTENTS[content]
    return [
        Part(
            document_id=document,
            source=SOURCE,
            version=version,
            content_hash=content,
            chunk_count=len(texts),
            first=first,
            chunks=tuple(Chunk(key=text, text=text) for text in texts[first : first + PART_CHUNKS]),
        )
        for first in range(0, len(texts) or 1, PART_CHUNKS)
    ]
