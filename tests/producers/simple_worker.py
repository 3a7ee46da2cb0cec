"""A worker without Milvus: does what the ledger says, for tests of what producers leave behind."""

import itertools
import time

import msgspec
from redis.asyncio import Redis

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


class SimpleWorker:
    """Brings batches to their end, one after the other; it keeps the rows itself.

    Attributes:
        rows: chunk id -> text.
        poison: a text with this in it can't be embedded; None: all can.
        keeps_payload: whether letters hold their chunks.
    """

    def __init__(self, redis: Redis, collection: str, poison: str | None = None) -> None:
        """Begin with no rows."""
        self.ledger = Ledger(redis, collection)
        self.rows: dict[str, str] = {}
        self.poison = poison
        self.keeps_payload = True
        self._claims = itertools.count()

    async def drain(self) -> None:
        """Do all batches that wait."""
        while waiting := await self.ledger.redis.zrange(self.ledger.keys.waiting, 0, -1):
            for batch_id in waiting:
                assert isinstance(batch_id, bytes)
                await self.ingest(batch_id.decode())

    async def step(self) -> None:
        """Do the batch that waits for the longest, if one does."""
        for batch_id in await self.ledger.redis.zrange(self.ledger.keys.waiting, 0, 0):
            assert isinstance(batch_id, bytes)
            await self.ingest(batch_id.decode())

    async def ingest(self, batch_id: str) -> None:
        """Do one batch."""
        claim = await self.ledger.claim(batch_id, f"w{next(self._claims)}", 60.0)
        if claim.state is not ClaimState.CLAIMED:
            return
        batch = decode(claim.payload)
        marks = []
        for part in batch.parts:
            death = self._death(batch, part)
            marks.append(
                PartMark(part.document_id, part.version, part.first, part.units, death or b"")
            )
            for ordinal, chunk in zip(part.ordinals, part.chunks, strict=True):
                self.rows[chunk_id(part.document_id, part.version, ordinal)] = chunk.text
        settled = await self.ledger.settle(marks)
        for part, found in zip(batch.parts, settled, strict=True):
            await self._end(batch, part, found)
        verdicts = tuple(item.verdict for item in settled)
        await self.ledger.finish(batch_id, batch.job, Finish(tuple(marks), verdicts, 0, 0))

    def _death(self, batch: Batch, part: Part) -> bytes | None:
        dead = [o for o, c in zip(part.ordinals, part.chunks, strict=True) if self._is_bad(c.text)]
        if not dead:
            return None
        return msgspec.msgpack.encode(
            DeadPart(
                stage="embed",
                reason="EmbeddingRefusedError",
                message="the endpoint refuses it",
                first_error="the endpoint refuses it",
                attempts=1,
                at_ms=round(time.time() * 1000),
                ordinals=tuple(dead),
                payload=encode(Batch(collection=batch.collection, job=batch.job, parts=(part,))),
            )
        )

    def _is_bad(self, text: str) -> bool:
        return self.poison is not None and self.poison in text

    async def _end(self, batch: Batch, part: Part, found: Settled) -> None:
        stale = list(found.versions)
        if found.verdict is Verdict.SUPERSEDED:
            stale.append((part.version, part.chunk_count))
        if found.verdict is Verdict.WITHDRAW and not found.letter_kept:
            await self.ledger.letters.bury([self._letter(batch, part, found)])
        for version, count in stale:
            for row in chunk_ids(part.document_id, version, range(count)):
                self.rows.pop(row, None)

    def _letter(self, batch: Batch, part: Part, found: Settled) -> DeadLetter:
        """Make the letter of a document, for the tests' documents are all in one batch."""
        death = msgspec.msgpack.decode(found.deaths[0], type=DeadPart)
        key = str(part.metadata.get("path", ""))
        whole = [p for p in batch.parts if p.document_id == part.document_id]
        payload = encode(Batch(collection=batch.collection, job=batch.job, parts=tuple(whole)))
        return DeadLetter(
            document_id=part.document_id,
            version=part.version,
            source=part.source,
            key=key,
            key_bytes=key.encode(),
            job=batch.job,
            stage=death.stage,
            reason=death.reason,
            message=death.message,
            first_error=death.first_error,
            at_ms=death.at_ms,
            attempts=death.attempts,
            chunk_count=part.chunk_count,
            ordinals=death.ordinals,
            payload=payload if self.keeps_payload else b"",
        )
