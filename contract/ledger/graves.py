"""Graves: superseded versions, whose rows are deleted once more after a quarantine.

A worker that was stopped between its look at the lease and its write may write rows of a
version long after everyone else has deleted them.
"""

from collections.abc import Sequence

from redis.asyncio import Redis

from contract.ledger.connection import text
from contract.ledger.records import Rows
from contract.names import Keys


class Graves:
    """The superseded versions of one collection that lie in quarantine."""

    def __init__(self, redis: Redis, collection: str) -> None:
        """Use a client that the caller closes; nothing is sent yet."""
        self.redis = redis
        self.collection = collection
        self.keys = Keys(collection)

    async def due(self, count: int) -> list[Rows]:
        """Give versions whose quarantine is over, oldest first, ``count`` at the most."""
        seconds, microseconds = await self.redis.time()
        found: list[bytes] = await self.redis.zrange(  # type: ignore[assignment]
            self.keys.graves,
            "-inf",
            seconds * 1000 + microseconds // 1000,
            byscore=True,
            offset=0,
            num=count,
        )
        return [_rows(text(member)) for member in found]

    async def close(self, rows: Sequence[Rows]) -> None:
        """Forget versions whose rows have been deleted once more."""
        if rows:
            await self.redis.zrem(
                self.keys.graves, *(f"{r.document_id} {r.version} {r.count}" for r in rows)
            )

    async def count(self) -> int:
        """Count all versions in quarantine."""
        return int(await self.redis.zcard(self.keys.graves))


def _rows(member: str) -> Rows:
    document, version, count = member.split(" ")
    return Rows(document, int(version), int(count))
