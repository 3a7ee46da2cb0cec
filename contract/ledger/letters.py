"""Dead letters: documents that can't be ingested, each with what a replay needs."""

from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec
from redis.asyncio import Redis

from contract.ledger.counters import LetterCounts, letter_counts_of
from contract.ledger.records import DeadLetter
from contract.ledger.scripts import script
from contract.names import Keys, listing_field, reading_field

PAGE = 200
"""Letters in one round trip; each may hold a whole document."""

_decoder = msgspec.msgpack.Decoder(DeadLetter)


class Letters:
    """The dead letters of one collection: at most one for a document, about its newest version.

    The commit of a document takes its letter away.
    """

    def __init__(self, redis: Redis, collection: str) -> None:
        """Use a client that the caller closes; nothing is sent yet."""
        self.redis = redis
        self.collection = collection
        self.keys = Keys(collection)
        self._bury = script(redis, "bury")
        self._purge = script(redis, "purge")

    async def bury(self, letters: Iterable[DeadLetter]) -> int:
        """Keep letters; returns how many were kept.

        One about a version that is not wanted any more, or was committed meanwhile, is not.
        A document that never became chunks (version 0) counts as seen by the newest listing.
        """
        keys = self.keys
        pipe = self.redis.pipeline(transaction=False)
        for letter in letters:
            await self._bury(
                keys=[
                    keys.dead, keys.document(letter.document_id),
                    keys.source(letter.source), keys.sources,
                ],
                args=[
                    letter.document_id, letter.version, msgspec.msgpack.encode(letter),
                    letter.at_ms, letter.source, letter.key_bytes,
                    listing_field(letter.source), reading_field(letter.source), letter.reason,
                ],
                client=pipe,
            )  # fmt: skip
        return sum(await pipe.execute())

    async def count(self) -> int:
        """Count them."""
        return int(await self.redis.hlen(self.keys.dead))

    async def counts(self) -> LetterCounts:
        """Count them by reason; those that an older release wrote are left out."""
        return letter_counts_of(await self.redis.hgetall(self.keys.dead_counts))

    async def get(self, documents: Sequence[str]) -> list[DeadLetter]:
        """Give the letters of some documents; those that have none are left out."""
        if not documents:
            return []
        found: list[bytes | None] = await self.redis.hmget(  # type: ignore[assignment]
            self.keys.dead, list(documents)
        )
        return [_decoder.decode(record) for record in found if record is not None]

    async def scan(self) -> AsyncIterator[DeadLetter]:
        """Give all letters, in no order; one may come twice if letters come and go meanwhile."""
        cursor = 0
        while True:
            page: dict[bytes, bytes]
            cursor, page = await self.redis.hscan(  # type: ignore[assignment]
                self.keys.dead, cursor, count=PAGE
            )
            for record in page.values():
                yield _decoder.decode(record)
            if not cursor:
                return

    async def purge(self, letters: Iterable[DeadLetter]) -> int:
        """Forget letters, unless there is a newer one; returns how many were forgotten.

        The document stays as it is: its rows are those of the version before, and the next
        import tries again.
        """
        pipe = self.redis.pipeline(transaction=False)
        for letter in letters:
            await self._purge(
                keys=[self.keys.dead, self.keys.document(letter.document_id)],
                args=[letter.document_id, letter.version, letter.at_ms],
                client=pipe,
            )
        return sum(await pipe.execute())
