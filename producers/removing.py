"""Removing: all documents of a source, or those that nobody has seen for long."""

import time
from dataclasses import dataclass
from typing import Final

from celery import Celery
from redis.asyncio import Redis

from contract.batch import Batch, Part
from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from contract.settings import Settings
from producers.batching import Batcher, BatchLimits
from producers.deleting import Deleter, Deletions, Guard
from producers.lanes import Lanes
from producers.publishing import HighWater, Publisher
from producers.pulse import Pulse
from producers.tally import Tally

EVER: Final = 2**53
"""A time, in ms, that no listing reaches: every document was seen before."""


@dataclass(slots=True)
class _Everything:
    """All that a source ever had, as if a complete listing had shown none of it."""

    name: str
    shows_all: bool = True
    complete: bool = True

    def covers(self, key_bytes: bytes) -> bool:  # noqa: ARG002 - whatever it is
        """All keys are meant."""
        return True


class Removal:
    """Deletes documents of one source, as a new job: each gets a version without chunks.

    Killed anywhere, the same again does the rest: what is not through is still known to the
    source.

    Attributes:
        tally: what was deleted.
        job: the job's id, once ``begin`` was called.
        source_name: name of the source.
    """

    def __init__(
        self, redis: Redis, settings: Settings, collection: str, source: str, before_ms: int = EVER
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            redis: a client that the caller closes.
            settings: how to batch.
            collection: where the documents are.
            source: name of the source.
            before_ms: those that were last seen before this time, in ms since 1970.
        """
        self.tally = Tally()
        self.job = ""
        self.source_name = source
        self._settings = settings
        self._collection = collection
        self._before_ms = before_ms
        self._ledger = Ledger(redis, collection)
        self._jobs = Jobs(redis, collection)
        self._lanes = Lanes(settings)

    async def begin(self) -> None:
        """Create the job, so that it can be watched."""
        if not self.job:
            self.job = await self._jobs.create(self.source_name)

    async def run(self, app: Celery) -> None:
        """Promise and publish the deletions, then seal the job.

        Raises:
            CancelledJobError: someone cancelled the job.
        """
        await self.begin()
        pulse = Pulse(self._jobs, self.job, self.tally.counters, time.monotonic)
        await pulse.beside(self._publish_all(app, pulse))

    async def _publish_all(self, app: Celery, pulse: Pulse) -> None:
        settings = self._settings
        publisher = Publisher(self._ledger, app, HighWater.of(settings))
        meant = Guard(Deletions.ALLOWED, 1.0)
        extent = _Everything(self.source_name)
        deleter = Deleter(self._ledger.promises, extent, self.tally, meant, job=self.job)
        async for parts in deleter.parts(self._before_ms, 0):
            await pulse.going()
            await publisher.publish(self._batches(parts))
        await pulse.beat()  # of a cancelled job not all was published
        await self._jobs.seal(self.job, self.tally.counters())

    def _batches(self, parts: list[Part]) -> list[Batch]:
        settings = self._settings
        limits = BatchLimits.of(settings)
        batcher = Batcher(self._collection, self.job, limits, time.monotonic, self._lanes.choose)
        full = [batch for part in parts for batch in batcher.add(part)]
        last = batcher.flush()
        return full if last is None else [*full, last]
