"""Which dead letters are meant."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from redis.asyncio import Redis

from contract.ledger.jobs import collections
from contract.ledger.letters import Letters
from contract.ledger.records import DeadLetter


@dataclass(frozen=True, slots=True)
class Selection:
    """What letters must have in common; what is None or empty does not matter."""

    collection: str | None = None
    source: str | None = None
    reason: str | None = None
    stage: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    documents: frozenset[str] = frozenset()
    """Ids or keys."""

    def matches(self, letter: DeadLetter) -> bool:
        """Tell whether a letter of a collection that is meant is meant."""
        return (
            self.source in {None, letter.source}
            and (self.reason is None or self.reason.lower() == letter.reason.lower())
            and self.stage in {None, letter.stage}
            and (self.since_ms is None or letter.at_ms >= self.since_ms)
            and (self.until_ms is None or letter.at_ms <= self.until_ms)
            and (
                not self.documents
                or letter.document_id in self.documents
                or letter.key in self.documents
            )
        )

    async def collections(self, redis: Redis) -> list[str]:
        """Name the collections that are meant, in order."""
        return [self.collection] if self.collection else await collections(redis)

    async def letters(self, redis: Redis) -> AsyncIterator[tuple[str, DeadLetter]]:
        """Give the letters that are meant, each with its collection, a page at a time.

        Args:
            redis: a client that the caller closes.
        """
        for collection in await self.collections(redis):
            async for letter in Letters(redis, collection).scan():
                if self.matches(letter):
                    yield collection, letter
