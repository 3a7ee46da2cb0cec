"""The ledger of one collection: each method is one atomic step.

Every step may be repeated: a caller that got no answer asks again. What happens when a
process is killed between two steps stands in ARCHITECTURE.md, a row for each.
"""

from collections.abc import Iterable, Sequence

from redis.asyncio import Redis

from contract.batch import Batch, encode
from contract.lane import Lane
from contract.ledger.letters import Letters
from contract.ledger.promises import Promises
from contract.ledger.records import (
    Claim,
    ClaimState,
    Finish,
    PartMark,
    Settled,
    Standing,
    Swept,
    SweptLane,
    Totals,
    Verdict,
)
from contract.ledger.scripts import script
from contract.names import Keys

QUARANTINE_SECONDS = 3600.0
"""After which superseded versions are deleted once more: longer than any time-out."""


class Ledger:
    """The durable record of what was promised to one collection and what was done.

    Attributes:
        promises: the producers' side.
        letters: what can't be ingested.
    """

    def __init__(
        self, redis: Redis, collection: str, *, quarantine_seconds: float = QUARANTINE_SECONDS
    ) -> None:
        """Use a client that the caller closes; nothing is sent yet."""
        self.redis = redis
        self.collection = collection
        self.keys = Keys(collection)
        self.promises = Promises(redis, collection)
        self.letters = Letters(redis, collection)
        self._quarantine_ms = round(quarantine_seconds * 1000)
        self._publish = script(redis, "publish")
        self._claim = script(redis, "claim")
        self._renew = script(redis, "renew")
        self._release = script(redis, "release")
        self._alone = script(redis, "alone")
        self._split = script(redis, "split")
        self._settle = script(redis, "settle")
        self._finish = script(redis, "finish")
        self._sweep = script(redis, "sweep")

    # --- producers

    async def publish(self, batches: Iterable[Batch]) -> list[str]:
        """Write batches down, before their messages go out; returns their ids."""
        pipe = self.redis.pipeline(transaction=False)
        ids = []
        for batch in batches:
            batch_id = batch.id
            ids.append(batch_id)
            args: list[str | int | bytes] = [
                batch_id, encode(batch), batch.job, batch.chunk_count, batch.lane.value
            ]  # fmt: skip
            for part in batch.parts:
                args += [part.version, part.first, part.units]
            await self._publish(
                keys=[
                    self.keys.batch(batch_id),
                    self.keys.waiting,
                    self.keys.totals,
                    self.keys.job(batch.job),
                    self.keys.parked(batch.job),
                    *(self.keys.document(part.document_id) for part in batch.parts),
                ],
                args=args,
                client=pipe,
            )
        if ids:
            await pipe.execute()
        return ids

    async def totals(self) -> Totals:
        """Tell what is unfinished."""
        found = await self.redis.hmget(self.keys.totals, ["batches", "chunks", "bytes"])
        return Totals(*(int(value or 0) for value in found))

    # --- workers

    async def claim(self, batch_id: str, owner: str, lease_seconds: float) -> Claim:
        """Take a batch under a lease; ``owner`` is new for every claim."""
        keys = self.keys
        state, *rest = await self._claim(
            keys=[keys.batch(batch_id), keys.waiting, keys.leased, keys.totals],
            args=[batch_id, owner, round(lease_seconds * 1000), keys.job(""), keys.parked("")],
        )
        if not rest:
            return Claim(ClaimState(state.decode()), batch_id, owner)
        payload, attempts, crashes, alone_crashes, first_error, age_ms, waited_ms = rest
        return Claim(
            ClaimState.CLAIMED,
            batch_id,
            owner,
            payload,
            int(attempts),
            int(crashes),
            int(alone_crashes),
            first_error.decode(),
            _known(age_ms),
            _known(waited_ms),
        )

    async def renew(self, batch_id: str, owner: str, lease_seconds: float) -> bool:
        """Move the end of a lease; False when it is lost."""
        kept = await self._renew(
            keys=[self.keys.batch(batch_id), self.keys.leased],
            args=[batch_id, owner, round(lease_seconds * 1000)],
        )
        return bool(kept)

    async def release(
        self,
        batch_id: str,
        owner: str,
        *,
        delay_seconds: float = 0.0,
        failed: bool = False,
        error: str = "",
    ) -> bool:
        """Give a batch back; False when it was not this owner's any more.

        Args:
            batch_id: the batch.
            owner: who claimed it.
            delay_seconds: how long nobody may claim it.
            failed: whether this counts as a failed attempt.
            error: why, without secrets; that of the first attempt is kept.
        """
        keys = self.keys
        given = await self._release(
            keys=[keys.batch(batch_id), keys.waiting, keys.leased, keys.totals],
            args=[
                batch_id, owner, round(delay_seconds * 1000), int(failed), error,
                keys.job(""), keys.parked(""),
            ],
        )  # fmt: skip
        return bool(given)

    async def mark_alone(self, batch_id: str, owner: str) -> bool:
        """Note that the owner has nothing else in hand; False when the lease is lost.

        Should it fall silent now, this batch alone is to blame.
        """
        return bool(await self._alone(keys=[self.keys.batch(batch_id)], args=[owner]))

    async def split(self, batch_id: str, owner: str, whole: Batch, pieces: Sequence[Batch]) -> bool:
        """Put smaller batches in the place of one; False when the lease is lost.

        Args:
            batch_id: the batch.
            owner: who claimed it.
            whole: what it holds.
            pieces: batches of the same job that hold the same chunks, each part cut anywhere;
                they wait to be claimed, and are to be announced.
        """
        keys = self.keys
        args: list[str | int | bytes] = [batch_id, owner, len(pieces)]
        documents = []
        for piece in pieces:
            args += [piece.id, encode(piece), piece.chunk_count, len(piece.parts)]
            for part in piece.parts:
                first = next(
                    origin.first
                    for origin in whole.parts
                    if (origin.document_id, origin.version) == (part.document_id, part.version)
                    and origin.first <= part.first < origin.first + origin.units
                )
                args += [part.version, first, part.first, part.units]
                documents.append(keys.document(part.document_id))
        split = await self._split(
            keys=[
                keys.batch(batch_id), keys.waiting, keys.leased, keys.totals,
                keys.job(whole.job), *(keys.batch(piece.id) for piece in pieces), *documents,
            ],
            args=args,
        )  # fmt: skip
        return bool(split)

    async def standing(self, documents: Sequence[str]) -> list[Standing]:
        """Tell what is wanted of documents."""
        return await self.promises.standing(documents)

    async def settle(self, marks: Sequence[PartMark]) -> list[Settled]:
        """Mark parts as done and learn what is left to do for their documents."""
        args: list[str | int | bytes] = []
        for mark in marks:
            args += [mark.version, mark.first, mark.units, mark.death]
        found = await self._settle(
            keys=[self.keys.document(mark.document_id) for mark in marks], args=args
        )
        return [
            Settled(
                Verdict(verdict.decode()),
                versions_of(versions),
                bool(unknown_older),
                tuple(deaths),
                bool(letter_kept),
            )
            for verdict, versions, unknown_older, letter_kept, *deaths in found
        ]

    async def finish(self, batch_id: str, job: str, finish: Finish) -> bool:
        """Commit documents, count, and strike the batch off; False when it was struck off."""
        keys = self.keys
        args: list[str | int] = [
            batch_id, finish.chunks_written, finish.tokens, finish.chunks_reused,
            keys.document(""), keys.source(""), keys.open(""), keys.job(""), self._quarantine_ms,
            finish.chunks_cached, finish.tokens_saved, keys.usage(""),
        ]  # fmt: skip
        for mark, verdict in zip(finish.marks, finish.verdicts, strict=True):
            args += [mark.version, verdict.value]
        struck = await self._finish(
            keys=[
                keys.batch(batch_id), keys.waiting, keys.leased, keys.totals, keys.job(job),
                keys.dead, keys.graves, keys.twins,
                *(keys.document(mark.document_id) for mark in finish.marks),
            ],
            args=args,
        )  # fmt: skip
        return bool(struck)

    # --- everyone who keeps order

    async def sweep(
        self, *, limit: int = 200, grace_seconds: float = 2.0, silent_owner: str = ""
    ) -> Swept:
        """Take batches away from silent owners, and name those to announce again.

        Args:
            limit: how many to handle at the most.
            grace_seconds: a batch that waits for less may still have its first message
                on the way.
            silent_owner: take away everything whose owner begins so, at once, because the
                caller knows that it is dead.
        """
        keys = self.keys
        found = await self._sweep(
            keys=[keys.waiting, keys.leased, keys.totals],
            args=[
                keys.batch(""), limit, silent_owner, round(grace_seconds * 1000),
                keys.job(""), keys.parked(""),
            ],
        )  # fmt: skip
        return Swept(
            {
                lane: SweptLane(int(taken), int(due), tuple(item.decode() for item in oldest))
                for lane, (taken, due, oldest) in zip((Lane.LIVE, Lane.BULK), found, strict=True)
            }
        )


def _known(ms: int) -> int | None:
    return ms if ms >= 0 else None


def versions_of(packed: bytes) -> tuple[tuple[int, int], ...]:
    """Read '<version>:<count> ...' as the scripts write it."""
    pairs = (item.split(b":") for item in packed.split())
    return tuple((int(version), int(count)) for version, count in pairs)
