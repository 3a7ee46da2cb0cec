"""A producer: one listing of one source, from files to published batches."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress

from celery import Celery
from redis.asyncio import Redis
from redis.exceptions import RedisError

from contract.batch import Batch
from contract.errors import DocumentError
from contract.ids import document_id
from contract.ledger.connection import connect
from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import DeadLetter
from contract.settings import Settings
from contract.tasks import end
from producers.batching import Batcher, BatchLimits
from producers.document import Entry, Omission
from producers.planning import Loaded, Planner, groups
from producers.publishing import HighWater, Publisher
from producers.sources.source import Source
from producers.splitting import SplitOptions
from producers.tally import Tally

GROUP_DOCUMENTS = 64
"""Documents that are read and looked up together."""
GROUP_BYTES = 16 * 1024 * 1024
REPORT_SECONDS = 1.0


class Producer:
    """Brings what a source has into a collection's ledger and queue.

    Attributes:
        tally: what was seen so far.
        job: the job's id, once ``run`` or ``batches`` has begun.
    """

    def __init__(
        self,
        redis: Redis,
        settings: Settings,
        source: Source,
        collection: str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is sent or read yet.

        Args:
            redis: a client that the caller closes.
            settings: how to cut and batch.
            source: where documents come from.
            collection: where they go.
            now: a clock that does not jump.
        """
        self.tally = Tally()
        self.job = ""
        self._settings = settings
        self._source = source
        self._collection = collection
        self._ledger = Ledger(redis, collection)
        self._jobs = Jobs(redis, collection)
        self._now = now

    async def run(self, app: Celery) -> None:
        """Publish everything that is new or changed, then seal the job.

        Cancelled or killed on the way, the job stays unsealed; running the same again
        resumes it: what was published counts as pending or unchanged then.
        """
        settings = self._settings
        high_water = HighWater(settings.max_unfinished_batches, settings.max_unfinished_bytes)
        publisher = Publisher(self._ledger, app, high_water)
        await self.begin()
        reporter = asyncio.create_task(self._keep_reporting())
        try:
            async for batches in self._planned():
                await publisher.publish(batches)
        finally:
            await end(reporter)
        await self._jobs.seal(self.job, self.tally.counters())

    async def begin(self) -> None:
        """Create the job, so that it can be watched."""
        if not self.job:
            self.job = await self._jobs.create(self._source.name)

    async def batches(self) -> AsyncIterator[Batch]:
        """Plan, and give batches with versions; publishing them is the caller's.

        A batch that is never published costs nothing: the next listing of the source
        gives its documents another version. Who takes the last one seals the job.
        """
        await self.begin()
        async for batches in self._planned():
            for batch in batches:
                yield batch
        await self._jobs.seal(self.job, self.tally.counters())

    async def _planned(self) -> AsyncIterator[list[Batch]]:
        """List, read, parse, split, plan and batch, one group of documents at a time."""
        settings = self._settings
        listing = await self._ledger.begin_listing(self._source.name, self._source.origin)
        planner = Planner(
            self._ledger,
            self._source,
            SplitOptions(settings.chunk_size, settings.chunk_overlap, settings.chunk_unit),
            self.tally,
            job=self.job,
            listing=listing,
        )
        limits = BatchLimits(
            settings.batch_max_chunks, settings.batch_max_bytes, settings.batch_max_age_seconds
        )
        batcher = Batcher(self._collection, self.job, limits, self._now)
        async for loaded, omitted in self._loaded():
            parts = await planner.plan(loaded, omitted)
            batches = [batch for part in parts for batch in batcher.add(part)]
            old = batcher.due()
            yield batches if old is None else [*batches, old]
            await self._bury_failures()
        last = batcher.flush()
        if last is not None:
            yield [last]

    async def _loaded(self) -> AsyncIterator[tuple[list[Loaded], list[Omission]]]:
        """Read one group while the one before is planned."""
        listed = iter(groups(self._source.listing(), GROUP_DOCUMENTS, GROUP_BYTES))

        async def load() -> tuple[list[Loaded], list[Omission]] | None:
            group = await asyncio.to_thread(next, listed, None)
            return None if group is None else await self._read(group)

        ahead = asyncio.create_task(load())
        try:
            while (read := await ahead) is not None:
                ahead = asyncio.create_task(load())
                yield read
        finally:
            ahead.cancel()
            await asyncio.wait([ahead])

    async def _read(self, group: list[Entry | Omission]) -> tuple[list[Loaded], list[Omission]]:
        """Read the files of a group at once; what can't be read is counted and left out."""
        entries = [item for item in group if isinstance(item, Entry)]
        omitted = [item for item in group if isinstance(item, Omission)]
        limit = self._settings.max_document_bytes
        read = await asyncio.gather(
            *(self._source.read(entry, limit) for entry in entries), return_exceptions=True
        )
        loaded = []
        for entry, data in zip(entries, read, strict=True):
            if isinstance(data, bytes):
                self.tally.source_bytes += len(data)
                loaded.append(Loaded(entry, data))
            elif isinstance(data, DocumentError):
                omitted.append(Omission.of(entry.key, entry.key_bytes, data))
            else:
                raise data
        self.tally.listed += len(group)
        return loaded, omitted

    async def _bury_failures(self) -> None:
        """Write down what could not be had, so that it can be found later."""
        failures, self.tally.failures = self.tally.failures, []
        if not failures:
            return
        at_ms = round(time.time() * 1000)
        name = self._source.name
        await self._ledger.bury(
            DeadLetter(
                id=document_id(name, failure.key_bytes),
                document_id=document_id(name, failure.key_bytes),
                source=name,
                key=failure.key,
                job=self.job,
                stage="read",
                reason=failure.reason,
                message=failure.message,
                at_ms=at_ms,
            )
            for failure in failures
        )

    async def _keep_reporting(self) -> None:
        while True:
            with suppress(RedisError):  # the producer's own steps tell of an outage
                await self._jobs.report(self.job, self.tally.counters())
            await asyncio.sleep(REPORT_SECONDS)


def iterate(settings: Settings, source: Source, collection: str) -> Iterator[Batch]:
    """Give the batches of a source in a program without an event loop: ``for batch in ...``.

    Connects to the Redis that the settings name, and closes the connection at the end.

    Raises:
        UsageError: no Redis is configured.
        RuntimeError: an event loop runs here already; use :meth:`Producer.batches` there.
    """
    with asyncio.Runner() as runner:
        redis = connect(settings)
        batches = Producer(redis, settings, source, collection).batches()
        try:
            while True:
                batch = runner.run(_next(batches))
                if batch is None:
                    return
                yield batch
        finally:
            runner.run(redis.aclose())


async def _next(batches: AsyncIterator[Batch]) -> Batch | None:
    return await anext(batches, None)
