"""Control of jobs: pause, go on, cancel, from anywhere."""

from collections.abc import Sequence
from enum import StrEnum

from redis.asyncio import Redis

from contract.ledger.connection import text
from contract.ledger.ledger import QUARANTINE_SECONDS, versions_of
from contract.ledger.records import Rows
from contract.ledger.scripts import script
from contract.names import Keys


class Halt(StrEnum):
    """Whether a job is to go on."""

    NONE = ""
    PAUSED = "paused"
    CANCELLED = "cancelled"


class JobControl:
    """Halts jobs of one collection, and clears up after cancelled ones.

    From the moment of a halt nobody claims a batch of the job, and nothing more is published
    for a cancelled one. Producers and workers look at ``halts`` and let go of what they hold.
    """

    def __init__(
        self, redis: Redis, collection: str, *, quarantine_seconds: float = QUARANTINE_SECONDS
    ) -> None:
        """Use a client that the caller closes; nothing is sent yet."""
        self.redis = redis
        self.collection = collection
        self.keys = Keys(collection)
        self._quarantine_ms = round(quarantine_seconds * 1000)
        self._halt = script(redis, "halt")
        self._abandon = script(redis, "abandon")
        self._abandoned = script(redis, "abandoned")

    async def halt(self, job: str, halt: Halt) -> bool:
        """Pause, cancel, or let go on (``Halt.NONE``).

        Returns:
            False when there is no such job, it is done, or it is cancelled: that can't be taken
            back. To cancel a second time is no mistake.
        """
        keys = self.keys
        done = await self._halt(
            keys=[
                keys.job(job), keys.waiting, keys.parked(job), keys.totals, keys.cancelled,
                keys.leased, keys.open(job),
            ],
            args=[job, halt.value, keys.batch(""), keys.job(""), keys.parked("")],
        )  # fmt: skip
        return bool(done)

    async def halts(self, jobs: Sequence[str]) -> list[Halt]:
        """Tell of each job whether it is to go on."""
        pipe = self.redis.pipeline(transaction=False)
        for job in jobs:
            pipe.hget(self.keys.job(job), "halt")
        return [Halt(text(found)) if found else Halt.NONE for found in await pipe.execute()]

    # --- clearing up after cancelled jobs: abandon, delete the rows, then tell by `abandoned`

    async def cancelled_jobs(self) -> list[str]:
        """Name the cancelled jobs that are not cleared up yet."""
        return sorted(text(job) for job in await self.redis.smembers(self.keys.cancelled))

    async def open_documents(self, job: str, count: int) -> list[str]:
        """Name some documents that a job has promised and that are not through."""
        found = await self.redis.srandmember(self.keys.open(job), count)
        return [text(document) for document in found or ()]

    async def abandon(self, job: str, documents: Sequence[str]) -> list[Rows]:
        """Give up what a cancelled job has promised; returns the rows to be deleted.

        A document keeps the version that it had before, and the next import tries again. One
        that was written to its last part already is committed instead.
        """
        keys = self.keys
        found = await self._abandon(
            keys=[keys.open(job), keys.twins, *map(keys.document, documents)],
            args=list(documents),
        )
        rows = []
        for document, (packed, written) in zip(documents, found, strict=True):
            rows += [Rows(document, version, count) for version, count in versions_of(packed)]
            if int(written):
                rows.append(Rows(document, int(written), 0, unknown_older=True))
        return rows

    async def abandoned(self, job: str, documents: Sequence[str]) -> int:
        """Note that those rows are deleted; returns how many were given up by this call."""
        keys = self.keys
        number = await self._abandoned(
            keys=[
                keys.open(job), keys.job(job), keys.graves, keys.dead,
                *map(keys.document, documents),
            ],
            args=[self._quarantine_ms, keys.source(""), *documents],
        )  # fmt: skip
        return int(number)

    async def cleared(self, job: str) -> bool:
        """Forget that a job has to be cleared up, if nothing of it is open."""
        if await self.redis.exists(self.keys.open(job)):
            return False
        await self.redis.srem(self.keys.cancelled, job)
        return True
