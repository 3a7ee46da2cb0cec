"""Streaming: from what a stream brings, haul by haul, to published batches."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from celery import Celery
from msgspec.structs import replace as with_fields
from redis.asyncio import Redis

from contract.batch import Batch, Part
from contract.ids import content_hash, document_id
from contract.lane import Lane
from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import Gone, Outcome, Promise, Registered
from contract.settings import Settings
from contract.tasks import end
from producers.batching import Batcher, BatchLimits
from producers.deleting import GONE, gone_part
from producers.document import Omission, Reason
from producers.drafting import Assignment, Draft, Identity, Recipe
from producers.lanes import Lanes
from producers.planning import sheaves
from producers.pool.pool import Pool, cores
from producers.publishing import HighWater, Publisher
from producers.pulse import Pulse
from producers.reading import Loaded
from producers.sources.record import FINGERPRINT, Record, parse
from producers.sources.stream import Haul, Item, Stream
from producers.splitting import SplitOptions
from producers.tally import Tally
from producers.unreadable import bury


@dataclass(frozen=True, slots=True)
class _Sound:
    """An item that has a record."""

    place: str
    record: Record
    position: str


class StreamProducer:
    """Brings what comes in a stream into a collection's ledger and queue, as it comes.

    A haul is looked up, drafted, promised and published as a whole, and then acknowledged; the
    next one is read meanwhile, and no more. So nothing is acknowledged that the ledger does not
    have, memory is flat, and where workers are slow the stream is not read.

    Attributes:
        tally: what was seen so far.
        job: the job's id, once ``begin`` or ``run`` has begun.
    """

    def __init__(self, redis: Redis, settings: Settings, stream: Stream, collection: str) -> None:
        """Prepare; nothing is sent or read yet.

        Args:
            redis: a client that the caller closes.
            settings: how to cut and batch.
            stream: where documents come from.
            collection: where they go.
        """
        self.tally = Tally()
        self.job = ""
        self._settings = settings
        self._stream = stream
        self._collection = collection
        self._ledger = Ledger(redis, collection)
        self._jobs = Jobs(redis, collection)
        self._lanes = Lanes(settings)
        options = SplitOptions.of(settings)
        self._recipe = Recipe(stream.name, parse, options)
        self._fingerprint = f"{FINGERPRINT}|{options.fingerprint}"

    @property
    def source_name(self) -> str:
        """Name of the source."""
        return self._stream.name

    async def begin(self) -> None:
        """Create the job, so that it can be watched."""
        if not self.job:
            self.job = await self._jobs.create(self._stream.name)

    async def run(self, app: Celery) -> None:
        """Publish what comes until the stream ends, then seal the job.

        Cancelled or killed on the way, the job stays unsealed; running the same again resumes
        it: what was published counts as pending or unchanged then.

        Raises:
            CancelledJobError: someone cancelled the job; what was not through is given up.
        """
        await self.begin()
        pulse = Pulse(self._jobs, self.job, self.tally.counters, time.monotonic)
        await pulse.beside(self._publish_all(app, pulse))

    async def _publish_all(self, app: Celery, pulse: Pulse) -> None:
        settings = self._settings
        high_water = HighWater(settings.max_unfinished_batches, settings.max_unfinished_bytes)
        publisher = Publisher(self._ledger, app, high_water)
        processes = settings.producer_processes or cores()
        async with Pool(self._recipe, processes) as pool, aclosing(self._stream.hauls()) as hauls:
            coming = asyncio.create_task(_next(hauls))
            try:
                while (haul := await coming) is not None:
                    coming = asyncio.create_task(_next(hauls))
                    await pulse.going()
                    parts = await self._promised(haul, pool)
                    await publisher.publish(self._batches(parts, haul))
                    await pulse.beat()  # of a cancelled job not all was published
                    await self._stream.acknowledge(haul)
                    await self._jobs.mark_complete(self._stream.name)
            finally:
                await end(coming)
        await pulse.beat()
        await self._jobs.seal(self.job, self.tally.counters())

    async def _promised(self, haul: Haul, pool: Pool) -> list[Part]:
        """Promise the documents of a haul; gives those that need work, with versions."""
        name = self._stream.name
        self.tally.listed += len(haul.items)
        promises = self._ledger.promises
        await promises.begin_listing(name, self._stream.origin)
        reading = await promises.begin_reading(name)
        items, wrong = self._newest(haul.items)
        assignments = [self._assignment(item.record) for item in items.values()]
        known = await promises.lookup(
            [(one.identity.document_id, one.identity.content_hash) for one in assignments],
            reading=reading,
            positions=[item.position for item in items.values()],
        )
        work, seen = [], []
        for assignment, found in zip(assignments, known, strict=True):
            self.tally.source_bytes += assignment.size_bytes
            if found is None:
                work.append(assignment)
            else:
                self._count(found)
                if assignment.item.data:
                    seen.append(assignment.identity.document_id)
        await promises.mark_seen(name, seen)
        drafts, failed = await self._drafted(work, items, pool)
        parts = await self._register(drafts, items, reading)
        await self._bury([*wrong, *failed])
        return parts

    async def _bury(self, failures: Sequence[Omission]) -> None:
        """Keep dead letters; what has no id can't be replaced by something better one day."""
        self.tally.failures.clear()
        known = [failure for failure in failures if failure.key_bytes]
        if known:
            # A letter is newer than what was read before it: no commit of that takes it away.
            await self._ledger.promises.begin_reading(self._stream.name)
            await bury(self._ledger.letters, self._stream.name, self.job, known)

    def _newest(self, items: Sequence[Item]) -> tuple[dict[bytes, _Sound], list[Omission]]:
        """Give the records, of those with the same key the last, and what is wrong after them.

        All that is left out is counted.
        """
        found: dict[bytes, _Sound] = {}
        wrong: dict[bytes, Omission] = {}
        for item in items:
            if isinstance(item.read, Omission):
                self.tally.omit(item.read)
                wrong[item.read.key_bytes] = item.read
                continue
            key_bytes = item.read.entry.key_bytes
            wrong.pop(key_bytes, None)
            before = found.pop(key_bytes, None)  # to stand where its last one does
            if before is not None:
                message = f"{before.place}: {item.place} has the same id, and counts"
                self._leave_out(before.record, Reason.REPEATED, message)
            found[key_bytes] = _Sound(item.place, item.read, item.position)
        return found, list(wrong.values())

    def _leave_out(self, record: Record, reason: Reason, message: str) -> None:
        entry = record.entry
        self.tally.omit(Omission(entry.key, reason, message, reason.failed, entry.key_bytes))

    def _assignment(self, record: Record) -> Assignment:
        hashed = content_hash(record.data, self._fingerprint) if record.data else GONE
        identity = Identity(document_id(self._stream.name, record.entry.key_bytes), hashed, "")
        return Assignment(Loaded(record.entry, record.data), identity)

    async def _drafted(
        self, work: Sequence[Assignment], items: dict[bytes, _Sound], pool: Pool
    ) -> tuple[list[Draft], list[Omission]]:
        """Parse and cut; a deletion is a part without chunks. Gives what failed as well."""
        name = self._stream.name
        gone = [
            Draft(one.item.entry, gone_part(_gone(one), name, 0))
            for one in work
            if not one.item.data
        ]
        some = sheaves(one for one in work if one.item.data)
        drafts, failed = gone, []
        for sheaf in await asyncio.gather(*map(pool.draft, some)):
            for draft in sheaf:
                if isinstance(draft, Draft):
                    drafts.append(draft)
                else:
                    place = items[draft.key_bytes].place
                    failed.append(replace(draft, message=f"{place}: {draft.message}"))
                    self.tally.omit(failed[-1])
        return drafts, failed

    async def _register(
        self, drafts: Sequence[Draft], items: dict[bytes, _Sound], reading: int
    ) -> list[Part]:
        """Promise contents; gives the parts that need work."""
        made = await self._ledger.promises.register(
            self.job,
            [
                Promise(
                    document_id=draft.part.document_id,
                    source=draft.part.source,
                    key_bytes=draft.entry.key_bytes,
                    content_hash=draft.part.content_hash,
                    chunk_count=draft.part.chunk_count,
                    reading=reading,
                    position=items[draft.entry.key_bytes].position,
                )
                for draft in drafts
            ],
        )
        parts = []
        for draft, registered in zip(drafts, made, strict=True):
            if registered.outcome is Outcome.OUTDATED:
                item = items[draft.entry.key_bytes]
                message = (
                    f"{item.place}: what somebody read later, of the same id, was promised already"
                )
                self._leave_out(item.record, Reason.OUTDATED, message)
                continue
            self._count(registered)
            if registered.outcome in {Outcome.NEW, Outcome.CHANGED, Outcome.DELETED}:
                parts.append(
                    with_fields(draft.part, version=registered.version, twin=registered.twin)
                )
        return parts

    def _count(self, found: Registered) -> None:
        self.tally.count_outcome(found.outcome, "" if found.job == self.job else found.job)

    def _batches(self, parts: Sequence[Part], haul: Haul) -> list[Batch]:
        """Put parts into batches; what trickles goes ahead of bulk, unless the user chose."""
        settings = self._settings
        limits = BatchLimits.of(settings)
        trickles = settings.lane == "auto" and not haul.is_full
        lane = (lambda: Lane.LIVE) if trickles else self._lanes.choose
        batcher = Batcher(self._collection, self.job, limits, time.monotonic, lane)
        full = [batch for part in parts for batch in batcher.add(part)]
        last = batcher.flush()
        return full if last is None else [*full, last]


def _gone(assignment: Assignment) -> Gone:
    return Gone(assignment.identity.document_id, assignment.item.entry.key_bytes)


async def _next(hauls: AsyncGenerator[Haul]) -> Haul | None:
    return await anext(hauls, None)
