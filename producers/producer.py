"""A producer: one listing of one source, from files to published batches."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing

from celery import Celery
from redis.asyncio import Redis

from contract.batch import Batch
from contract.errors import GuardError
from contract.ledger.connection import connect
from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.usage import Usage
from contract.settings import Settings
from producers.batching import Batcher, BatchLimits
from producers.cutting import cutting_of
from producers.deleting import Candidates, Deleter, Deletions, Guard, all_documents
from producers.drafting import Drafter
from producers.glancing import Glance
from producers.lanes import Lanes
from producers.listing import Listing, begin_listing
from producers.planning import Planner
from producers.pool.pool import Pool, cores
from producers.publishing import HighWater, Publisher
from producers.pulse import Pulse
from producers.reading import Reader
from producers.share import Share
from producers.sources.chosen_files import ChosenFiles
from producers.sources.shard import Shard
from producers.sources.source import Source
from producers.spending import Budgets, Spending
from producers.splitting import SplitOptions
from producers.tally import Tally
from producers.unreadable import bury

INCOMPLETE = "the listing of the source is incomplete: nothing is deleted"


class Producer:
    """Brings what a source has into a collection's ledger and queue.

    Attributes:
        tally: what was seen so far.
        job: the job's id, once ``begin``, ``run`` or ``batches`` has begun.
        lanes: of its batches.
    """

    def __init__(  # noqa: PLR0913 - most have a default, and are named
        self,
        redis: Redis,
        settings: Settings,
        source: Source,
        collection: str,
        now: Callable[[], float] = time.monotonic,
        *,
        deletions: Deletions = Deletions.GUARDED,
        listing: Listing | None = None,
        share: Share | None = None,
        budgets: Budgets | None = None,
        verify_contents: bool = False,
        notice: str = "",
    ) -> None:
        """Prepare; nothing is sent or read yet.

        Args:
            redis: a client that the caller closes.
            settings: how to cut and batch.
            source: where documents come from.
            collection: where they go.
            now: a clock that does not jump.
            deletions: what becomes of documents that the source has no more.
            listing: one that is shared with other producers; None: one of its own.
            budgets: what may be embedded; shared by the producers of a run. None: everything.
            verify_contents: read also what, by its stamp, has not changed.
            notice: what people were told before; kept with the job.
            share: of another's job, which this is; None: the job is its own.
        """
        self.tally = Tally() if share is None else share.tally
        self.job = "" if share is None else share.job
        self.lanes = Lanes(settings)
        self._settings = settings
        self._source = source
        self._collection = collection
        self._options = SplitOptions.of(settings)
        self._ledger, self._jobs = Ledger(redis, collection), Jobs(redis, collection)
        self._now = now
        self._budgets, self._notice = budgets, notice
        self._verify_contents = verify_contents
        self._guard = Guard(deletions, settings.max_delete_share)
        self._listing = listing
        self._among: Candidates = all_documents
        if share is not None:
            self._guard, self._among = share.guard or self._guard, share.among

    @property
    def source_name(self) -> str:
        """Name of the source."""
        return self._source.name

    async def run(self, app: Celery) -> None:
        """Publish everything that is new, changed or gone, then seal the job.

        Cancelled or killed on the way, the job stays unsealed; running the same again
        resumes it: what was published counts as pending or unchanged then. So does the same
        after a budget was reached (the tally tells); then nothing is deleted.

        Raises:
            CancelledJobError: someone cancelled the job.
            GuardError: too many documents would be deleted; all else is published, and the
                job is sealed.
        """
        await self.begin()
        pulse = self._pulse()
        await pulse.beside(self._publish_and_seal(app, pulse))

    async def begin(self) -> None:
        """Create the job, so that it can be watched."""
        if not self.job:
            self.job = await self._jobs.create(self._source.name)
            if self._notice:
                await self._jobs.note(self.job, self._notice)

    async def batches(self) -> AsyncIterator[Batch]:
        """Plan, and give batches with versions; publishing them is the caller's.

        A batch that is never published costs nothing: the next listing of the source
        gives its documents another version. Who takes the last one seals the job. With budgets,
        what is given is to be published before the next is asked for.

        Raises:
            CancelledJobError: someone cancelled the job.
            GuardError: too many documents would be deleted; it comes after the last batch.
        """
        await self.begin()
        pulse = self._pulse()
        guard = None
        try:
            async with aclosing(self._planned()) as planned:
                async for batches in planned:
                    await pulse.catch_up()
                    for batch in batches:
                        yield batch
        except GuardError as error:
            guard = error
        await self._seal(pulse, guard)

    async def _publish_and_seal(self, app: Celery, pulse: Pulse) -> None:
        guard = None
        try:
            await self.publish_all(app, pulse)
        except GuardError as error:
            guard = error
        await self._seal(pulse, guard)

    async def publish_all(self, app: Celery, pulse: Pulse) -> None:
        """Publish everything that is new, changed or gone, for a job that others go on with.

        Args:
            app: announces batches.
            pulse: of the job, which someone keeps beating.

        Raises:
            GuardError: too many documents would be deleted; all else is published.
        """
        settings = self._settings
        high_water = HighWater(settings.max_unfinished_batches, settings.max_unfinished_bytes)
        publisher = Publisher(self._ledger, app, high_water)
        # Closed at once, whatever comes: processes belong to it.
        async with aclosing(self._planned()) as planned:
            async for batches in planned:
                await pulse.going()
                await publisher.publish(batches)

    async def _seal(self, pulse: Pulse, guard: GuardError | None) -> None:
        """Say that everything is published, and what was not deleted."""
        await pulse.beat()  # of a cancelled job not all was published
        trouble = str(guard or (INCOMPLETE if self.tally.incomplete else ""))
        if trouble:
            await self._jobs.note_trouble(self.job, trouble)
        if self.tally.held:
            await self._jobs.hold(self.job, self.tally.held)
        elif not trouble and not isinstance(self._source, Shard | ChosenFiles):
            await self._jobs.mark_complete(self._source.name)
        await self._jobs.seal(self.job, self.tally.counters())
        if guard is not None:
            raise guard

    def _pulse(self) -> Pulse:
        return Pulse(self._jobs, self.job, self.tally.counters, self._now)

    async def _planned(self) -> AsyncGenerator[list[Batch]]:
        """List, read, parse, split, plan and batch."""
        listing = self._listing or await begin_listing(self._ledger.promises, self._source)
        async with aclosing(self._brought()) as brought:
            async for batches in brought:
                yield batches
        if self.tally.held:
            # Not all is listed. And a file that was moved would be gone before it is back.
            return
        if self._among is all_documents and await self._is_all(listing.number):
            cutting = cutting_of(self._source, self._options)
            await self._ledger.promises.set_cutting(self._source.name, cutting)
        async for batches in self._deleted(listing.number, listing.known):
            yield batches

    async def _brought(self) -> AsyncGenerator[list[Batch]]:
        """Give the batches of what is new or changed."""
        settings, source, promises = self._settings, self._source, self._ledger.promises
        drafter = Drafter(source, self._options)
        reader = Reader(
            source,
            settings.max_document_bytes,
            lambda: promises.begin_reading(source.name),
            None if self._verify_contents else Glance(promises, drafter).known,
        )
        batcher = self._batcher()
        usage = Usage(self._ledger.redis, self._collection)
        spending = Spending(usage, self._jobs, self._budgets, source.name, self.job)
        async with Pool(drafter.recipe, settings.producer_processes or cores()) as pool:
            planner = Planner(promises, drafter, pool, reader, self.tally, spending)
            async with aclosing(planner.parts()) as planned:
                async for parts in planned:
                    batches = [batch for part in parts for batch in batcher.add(part)]
                    old = batcher.flush() if spending.is_short else batcher.due()
                    yield batches if old is None else [*batches, old]
                    failures, self.tally.failures = self.tally.failures, []
                    if failures:
                        await bury(self._ledger.letters, source.name, self.job, failures)
        last = batcher.flush()
        if last is not None:
            yield [last]

    async def _is_all(self, listing: int) -> bool:
        """Tell whether nothing is known of the source but what was listed, or is gone."""
        if not (self._source.shows_all and self._source.complete):
            return False
        async for page in self._ledger.promises.unseen(self._source.name, listing):
            if not all(self._source.covers(gone.key_bytes) for gone in page):
                return False
        return True

    async def _deleted(self, listing: int, known: int) -> AsyncGenerator[list[Batch]]:
        """Give the batches that delete what is gone."""
        deleter = Deleter(
            self._ledger.promises,
            self._source,
            self.tally,
            self._guard,
            job=self.job,
            among=self._among,
        )
        batcher = self._batcher()
        async for parts in deleter.parts(listing, known):
            batches = [batch for part in parts for batch in batcher.add(part)]
            last = batcher.flush()
            yield batches if last is None else [*batches, last]

    def _batcher(self) -> Batcher:
        settings = self._settings
        limits = BatchLimits.of(settings)
        return Batcher(self._collection, self.job, limits, self._now, self.lanes.choose)


def iterate(settings: Settings, source: Source, collection: str) -> Iterator[Batch]:
    """Give the batches of a source in a program without an event loop: ``for batch in ...``.

    Connects to the Redis that the settings name, and closes the connection at the end.

    Raises:
        CancelledJobError: someone cancelled the job.
        GuardError: too many documents would be deleted; it comes after the last batch.
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
