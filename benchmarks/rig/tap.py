"""Listens at the ledger: how much was done, and what there was, told by Redis itself."""

import asyncio
import contextlib
import time

from redis.asyncio import Redis
from redis.exceptions import RedisError

from benchmarks.rig.patience import until
from contract.names import Keys

POLL_SECONDS = 0.05
_LOOK_SECONDS = 5.0
_NEWEST_JOBS = 20
_KEPT = 300


class Tap:
    """Polls a collection's ledger, past the proxies; it changes nothing.

    Attributes:
        finished: batches finished so far, over all jobs.
        unfinished: batches that wait or are at work.
        payloads: of batches seen so far, the oldest first; some hundred at the most.
    """

    def __init__(self, redis: Redis, collection: str) -> None:
        """Use a client that gives bytes, and that the caller closes."""
        self.finished = 0
        self.unfinished: set[str] = set()
        self.payloads: dict[str, bytes] = {}
        self._redis = redis
        self._keys = Keys(collection)
        self._by_job: dict[str, int] = {}

    async def keep_listening(self) -> None:
        """Poll until cancelled; while Redis is away nothing is known."""
        while True:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._look()
            await asyncio.sleep(POLL_SECONDS)

    def finished_ids(self) -> list[str]:
        """Name batches whose payload is known, and that are through."""
        return [batch for batch in self.payloads if batch not in self.unfinished]

    async def progress(self, seconds: float) -> float:
        """Wait until one more batch is finished; returns the seconds that it took.

        Raises:
            TimeoutError: none was within this time.
        """
        before, begun = self.finished, time.monotonic()

        async def more() -> bool:
            return self.finished > before

        await until(more, "a batch to be finished", seconds)
        return time.monotonic() - begun

    async def _look(self) -> None:
        keys = self._keys
        pipe = self._redis.pipeline(transaction=True)
        pipe.zrange(keys.waiting, 0, -1)
        pipe.zrange(keys.leased, 0, -1)
        pipe.zrange(keys.jobs, 0, _NEWEST_JOBS - 1, desc=True)
        waiting, leased, jobs = await pipe.execute()
        self.unfinished = {batch.decode() for batch in (*waiting, *leased)}
        unknown = [batch for batch in self.unfinished if batch not in self.payloads]
        pipe = self._redis.pipeline(transaction=False)
        for batch in unknown:
            pipe.hget(keys.batch(batch), "payload")
        for job in jobs:
            pipe.hget(keys.job(job.decode()), "batches_finished")
        found = await pipe.execute()
        for batch, payload in zip(unknown, found, strict=False):
            if payload is not None:
                self.payloads[batch] = payload
        for job, number in zip(jobs, found[len(unknown) :], strict=True):
            self._by_job[job.decode()] = int(number or 0)
        self.finished = sum(self._by_job.values())
        self._forget()

    def _forget(self) -> None:
        """Drop every second payload once there are too many: old ones and new ones stay."""
        if len(self.payloads) > _KEPT:
            for batch in list(self.payloads)[::2]:
                del self.payloads[batch]
