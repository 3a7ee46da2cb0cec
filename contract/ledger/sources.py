"""The sources of a collection, as people deal with them."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from contract.ledger.connection import text
from contract.ledger.scripts import script
from contract.names import READING, Keys, cutting_field, listing_field, ttl_field

PAGE: Final = 500
FIRST_TIME_MS: Final = 10**12
"""A lower number of a listing is no time: the ledger was rebuilt, and no listing came since."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """A source at one moment."""

    name: str
    origin: str
    """Where it was last read from; empty when that is not known."""
    documents: int
    """That are not deleted; those that are dead letters alone are among them."""
    listed_ms: int
    """When its last listing began, or for a stream the last haul came; 0: not known."""
    ttl_seconds: int | None
    """After so long unseen a document is deleted; None: never."""


class Sources:
    """The sources of one collection."""

    def __init__(self, redis: Redis, collection: str) -> None:
        """Use a client that the caller closes; nothing is sent yet."""
        self.redis = redis
        self.collection = collection
        self.keys = Keys(collection)
        self._forget = script(redis, "forget_source")
        self._start_clocks = script(redis, "start_clocks")

    async def all(self) -> list[SourceState]:
        """Give all sources, by name."""
        found = await self.redis.hgetall(self.keys.sources)
        fields = {text(key): text(value) for key, value in found.items()}
        # Of a source that was removed, the number of its readings goes on.
        names = sorted(
            {field.partition("\0")[0] for field in fields if not field.endswith(READING)}
        )
        pipe = self.redis.pipeline(transaction=False)
        for name in names:
            pipe.zcard(self.keys.source(name))
        counts = await pipe.execute()
        pairs = zip(names, counts, strict=True)
        return [_state(name, fields, count) for name, count in pairs]

    async def get(self, name: str) -> SourceState | None:
        """Give one source, or None when it is not known."""
        return next((state for state in await self.all() if state.name == name), None)

    async def rows(self, name: str) -> int:
        """Count the rows that documents of a source have in Milvus, as far as the ledger knows."""
        count = 0
        async for page in self._pages(name):
            pipe = self.redis.pipeline(transaction=False)
            for document in page:
                pipe.hget(self.keys.document(document), "committed_count")
            count += sum(int(value or 0) for value in await pipe.execute())
        return count

    async def _pages(self, name: str) -> AsyncIterator[list[str]]:
        cursor = 0
        while True:
            cursor, page = await self.redis.zscan(self.keys.source(name), cursor, count=PAGE)
            if page:
                yield [text(document) for document, _ in page]
            if not cursor:
                return

    async def set_ttl(self, name: str, seconds: int | None) -> None:
        """Say for how long a document may be unseen; None: for ever."""
        if seconds is None:
            await self.redis.hdel(self.keys.sources, ttl_field(name))
        else:
            await self.redis.hset(self.keys.sources, ttl_field(name), str(seconds))

    async def start_clocks(self, name: str) -> int:
        """Let documents count as seen now of which it is not known when they were.

        They came into the ledger when it was rebuilt. The next complete listing that does not
        show them deletes them all the same.

        Returns:
            How many these were.
        """
        return int(await self._start_clocks(keys=[self.keys.source(name)], args=[FIRST_TIME_MS]))

    async def forget(self, name: str) -> bool:
        """Forget a source that has no documents; False when it has some."""
        forgotten = await self._forget(
            keys=[self.keys.source(name), self.keys.sources],
            args=[name, listing_field(name), ttl_field(name), cutting_field(name)],
        )
        return bool(forgotten)


def _state(name: str, fields: Mapping[str, str], documents: int) -> SourceState:
    listed_ms = int(fields.get(listing_field(name), 0))
    ttl = fields.get(ttl_field(name))
    return SourceState(
        name=name,
        origin=fields.get(name, ""),
        documents=documents,
        listed_ms=listed_ms if listed_ms >= FIRST_TIME_MS else 0,
        ttl_seconds=None if ttl is None else int(ttl),
    )
