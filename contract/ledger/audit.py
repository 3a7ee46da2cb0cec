"""An audit of the ledger in itself: do its sums agree with what it lists?"""

from dataclasses import dataclass

from redis.asyncio import Redis

from contract.ledger.connection import text
from contract.ledger.records import Totals
from contract.ledger.scripts import script
from contract.names import Keys

PAGE = 500
"""Documents that are looked at in one step."""


@dataclass(frozen=True, slots=True)
class Books:
    """What is unfinished in a collection, twice."""

    said: Totals
    """By the running totals, at which producers wait."""
    counted: Totals
    gone: int
    """Batches that are listed and not there."""

    @property
    def agree(self) -> bool:
        """Tell whether nothing is wrong."""
        return self.said == self.counted and not self.gone


class Audit:
    """Checks the bookkeeping of one collection; right also while others work."""

    def __init__(self, redis: Redis, collection: str) -> None:
        """Use a client that the caller closes; nothing is sent yet."""
        self.redis = redis
        self.keys = Keys(collection)
        self._audit = script(redis, "audit")
        self._strays = script(redis, "strays")

    async def books(self, *, mend: bool) -> Books:
        """Compare the totals with the unfinished batches; to mend sets them to what is there."""
        keys = self.keys
        found = await self._audit(
            keys=[keys.waiting, keys.leased, keys.totals, keys.jobs],
            args=[keys.batch(""), keys.parked(""), int(mend)],
        )
        numbers = [int(number) for number in found]
        return Books(Totals(*numbers[:3]), Totals(*numbers[3:6]), numbers[6])

    async def strays(self, job: str, *, mend: bool) -> int:
        """Count documents that a job holds open though it is through with them."""
        if await self.redis.sismember(self.keys.cancelled, job):
            return 0  # a janitor is at it
        cursor, strays = 0, 0
        while True:
            cursor, page = await self.redis.sscan(self.keys.open(job), cursor, count=PAGE)
            if page:
                documents = [text(document) for document in page]
                strays += await self._strays(
                    keys=[self.keys.open(job), *map(self.keys.document, documents)],
                    args=[job, int(mend), *documents],
                )
            if not cursor:
                return strays
