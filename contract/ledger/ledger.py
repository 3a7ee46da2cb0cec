"""The ledger of one collection: each method is one atomic step.

Every step may be repeated: a caller that got no answer asks again. What happens when a
process is killed between two steps stands in ARCHITECTURE.md, a row for each.
"""

from collections.abc import Iterable, Sequence
from importlib import resources

import msgspec
from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from contract.batch import Batch, encode
from contract.ledger.connection import text
from contract.ledger.records import (
    Claim,
    ClaimState,
    DeadLetter,
    Finish,
    Outcome,
    PartMark,
    Promise,
    Registered,
    Settled,
    Swept,
    Totals,
    Verdict,
)
from contract.names import COLLECTIONS_KEY, Keys

_SCRIPTS = resources.files("contract.ledger") / "scripts"


class Ledger:
    """The durable record of what was promised to one collection and what was done."""

    def __init__(self, redis: Redis, collection: str) -> None:
        """Use a client that the caller closes; nothing is sent yet."""
        self.redis = redis
        self.collection = collection
        self.keys = Keys(collection)

        def script(name: str) -> AsyncScript:
            return redis.register_script((_SCRIPTS / f"{name}.lua").read_text(encoding="utf-8"))

        self._register = script("register")
        self._publish = script("publish")
        self._claim = script("claim")
        self._renew = script("renew")
        self._release = script("release")
        self._settle = script("settle")
        self._finish = script("finish")
        self._sweep = script("sweep")

    # --- producers

    async def begin_listing(self, source: str, origin: str) -> int:
        """Number a new listing of a source, and note where it is read from."""
        pipe = self.redis.pipeline(transaction=True)
        pipe.sadd(COLLECTIONS_KEY, self.collection)
        pipe.hset(self.keys.sources, source, origin)
        pipe.hincrby(self.keys.sources, f"{source}\0listing", 1)
        *_, number = await pipe.execute()
        return int(number)

    async def origin(self, source: str) -> str | None:
        """Tell where a source was last read from, or None when it is not known here."""
        found = await self.redis.hget(self.keys.sources, source)
        return text(found) if found is not None else None

    async def lookup(
        self, source: str, listing: int, promises: Sequence[tuple[str, str]]
    ) -> list[Registered | None]:
        """Find documents whose content needs no work, in one round trip.

        Args:
            source: the source that lists them.
            listing: its number; the documents count as seen in it, also those that turn out
                to be unreadable: what is listed is not gone.
            promises: (document_id, content_hash) each.

        Returns:
            For each UNCHANGED or PENDING, or None when it has to be split and registered.
        """
        pipe = self.redis.pipeline(transaction=False)
        for document, _ in promises:
            pipe.hmget(
                self.keys.document(document),
                ["hash", "wanted", "committed", "published", "units", "failed", "job"],
            )
        states = await pipe.execute()
        found = [
            _standing(state, digest) for state, (_, digest) in zip(states, promises, strict=True)
        ]
        if promises:
            seen = {document: listing for document, _ in promises}
            await self.redis.zadd(self.keys.source(source), seen, xx=True, gt=True)
        return found

    async def register(
        self, job: str, listing: int, promises: Sequence[Promise]
    ) -> list[Registered]:
        """Promise contents: each gets a version, unless it is promised already."""
        pipe = self.redis.pipeline(transaction=False)
        for promise in promises:
            await self._register(
                keys=[
                    self.keys.document(promise.document_id),
                    self.keys.source(promise.source),
                    self.keys.job(job),
                ],
                args=[
                    promise.document_id,
                    promise.source,
                    promise.key,
                    promise.content_hash,
                    promise.chunk_count,
                    job,
                    listing,
                    self.keys.job(""),
                ],
                client=pipe,
            )
        return [
            Registered(Outcome(outcome.decode()), int(version), by.decode())
            for outcome, version, by in await pipe.execute()
        ]

    async def publish(self, batches: Iterable[Batch]) -> list[str]:
        """Write batches down, before their messages go out; returns their ids."""
        pipe = self.redis.pipeline(transaction=False)
        ids = []
        for batch in batches:
            batch_id = batch.id
            ids.append(batch_id)
            args: list[str | int | bytes] = [
                batch_id, encode(batch), batch.job, batch.chunk_count
            ]  # fmt: skip
            for part in batch.parts:
                args += [part.version, part.first, part.units]
            await self._publish(
                keys=[
                    self.keys.batch(batch_id),
                    self.keys.waiting,
                    self.keys.totals,
                    self.keys.job(batch.job),
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
        state, *rest = await self._claim(
            keys=[self.keys.batch(batch_id), self.keys.waiting, self.keys.leased],
            args=[batch_id, owner, round(lease_seconds * 1000)],
        )
        if not rest:
            return Claim(ClaimState(state.decode()), batch_id, owner)
        payload, attempts, crashes = rest
        return Claim(ClaimState.CLAIMED, batch_id, owner, payload, int(attempts), int(crashes))

    async def renew(self, batch_id: str, owner: str, lease_seconds: float) -> bool:
        """Move the end of a lease; False when it is lost."""
        kept = await self._renew(
            keys=[self.keys.batch(batch_id), self.keys.leased],
            args=[batch_id, owner, round(lease_seconds * 1000)],
        )
        return bool(kept)

    async def release(
        self, batch_id: str, owner: str, *, delay_seconds: float = 0.0, failed: bool = False
    ) -> bool:
        """Give a batch back; False when it was not this owner's any more."""
        given = await self._release(
            keys=[self.keys.batch(batch_id), self.keys.waiting, self.keys.leased],
            args=[batch_id, owner, round(delay_seconds * 1000), int(failed)],
        )
        return bool(given)

    async def wanted(self, documents: Sequence[str]) -> list[int]:
        """Tell the wanted version of documents; 0 for one that is not known."""
        pipe = self.redis.pipeline(transaction=False)
        for document in documents:
            pipe.hget(self.keys.document(document), "wanted")
        return [int(version or 0) for version in await pipe.execute()]

    async def settle(self, marks: Sequence[PartMark]) -> list[Settled]:
        """Mark parts as done and learn what is left to do for their documents."""
        args: list[str | int] = []
        for mark in marks:
            args += [mark.version, mark.first, mark.units, int(mark.dead)]
        found = await self._settle(
            keys=[self.keys.document(mark.document_id) for mark in marks], args=args
        )
        return [
            Settled(Verdict(verdict.decode()), _versions(versions)) for verdict, versions in found
        ]

    async def finish(self, batch_id: str, job: str, finish: Finish) -> bool:
        """Commit documents, count, and strike the batch off; False when it was struck off."""
        keys = self.keys
        args: list[str | int | bytes] = [
            batch_id, finish.chunks_written, finish.tokens, keys.document(""), keys.source(""),
            len(finish.dead_letters),
        ]  # fmt: skip
        for mark, verdict in zip(finish.marks, finish.verdicts, strict=True):
            args += [mark.version, verdict.value]
        places = {mark.document_id: place for place, mark in enumerate(finish.marks, 1)}
        for letter in finish.dead_letters:
            record = msgspec.msgpack.encode(letter)
            args += [letter.id, record, places[letter.document_id]]
        documents = [keys.document(mark.document_id) for mark in finish.marks]
        struck = await self._finish(
            keys=[
                keys.batch(batch_id), keys.waiting, keys.leased, keys.totals, keys.job(job),
                keys.dead, *documents,
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
        taken, due, oldest = await self._sweep(
            keys=[self.keys.waiting, self.keys.leased],
            args=[self.keys.batch(""), limit, silent_owner, round(grace_seconds * 1000)],
        )
        return Swept(int(taken), int(due), tuple(item.decode() for item in oldest))

    async def bury(self, letters: Iterable[DeadLetter]) -> None:
        """Keep dead letters of documents that never became chunks."""
        pipe = self.redis.pipeline(transaction=True)
        for letter in letters:
            pipe.hset(self.keys.dead, letter.id, msgspec.msgpack.encode(letter))
            pipe.hset(self.keys.document(letter.document_id), f"letter:{letter.id}", "")
        await pipe.execute()

    async def dead_letters(self) -> list[DeadLetter]:
        """List all dead letters, oldest first."""
        records: list[bytes] = await self.redis.hvals(self.keys.dead)  # type: ignore[assignment]
        letters = (msgspec.msgpack.decode(record, type=DeadLetter) for record in records)
        return sorted(letters, key=lambda letter: letter.at_ms)


def _versions(packed: bytes) -> tuple[tuple[int, int], ...]:
    pairs = (item.split(b":") for item in packed.split())
    return tuple((int(version), int(count)) for version, count in pairs)


def _standing(state: list[bytes | None], digest: str) -> Registered | None:
    """Judge a document's hash by the rule of register.lua: whole, unfailed, the same."""
    content, wanted, committed, published, units, failed, job = state
    if content is None or content.decode() != digest or int(failed or 0):
        return None
    if int(published or 0) < int(units or 0):
        return None
    outcome = Outcome.UNCHANGED if committed == wanted else Outcome.PENDING
    return Registered(outcome, int(wanted or 0), (job or b"").decode())
