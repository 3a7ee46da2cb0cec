"""A stream that a test fills, its ledger, and a worker that keeps rows in a dict."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

from celery import Celery
from redis.asyncio import Redis

from contract.ids import document_id
from contract.ledger.jobs import Job, Jobs
from contract.ledger.ledger import Ledger
from contract.settings import Settings
from producers import publishing
from producers.sources.record import RecordReader
from producers.sources.stream import Haul, Item
from producers.streaming import StreamProducer
from tests.producers.simple_worker import SimpleWorker

COLLECTION = "brook"
SOURCE = "brook"
DIMENSION = 3


def item(place: str = "line 1", position: str = "", **fields: Any) -> Item:
    """Make an item of what a line holds."""
    read = RecordReader(DIMENSION, 1_000_000).line(json.dumps(fields).encode(), place)
    return Item(place, read, position)


@dataclass
class Brook:
    """A stream of hauls.

    Attributes:
        waiting: what comes, haul by haul.
        acknowledged: what was.
        before_end: what happens before the stream ends.
    """

    name: str = SOURCE
    origin: str = "a brook"
    waiting: list[Haul] = field(default_factory=list)
    acknowledged: list[Haul] = field(default_factory=list)
    before_end: Callable[[], Awaitable[None]] | None = None

    async def hauls(self) -> AsyncGenerator[Haul]:
        """Give what waits."""
        while self.waiting:
            yield self.waiting.pop(0)
        if self.before_end is not None:
            await self.before_end()

    async def acknowledge(self, haul: Haul) -> None:
        """Note it."""
        self.acknowledged.append(haul)


class Bank:
    """What is beside a brook."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        """Begin with an empty ledger."""
        self.redis = redis
        self.settings = settings
        self.ledger = Ledger(redis, COLLECTION)
        self.worker = SimpleWorker(redis, COLLECTION)

    def producer(self, *hauls: list[Item], brook: Brook | None = None) -> StreamProducer:
        """Make a producer of a stream that brings these."""
        brook = brook or Brook()
        brook.waiting += [Haul(items) for items in hauls]
        return StreamProducer(self.redis, self.settings, brook, COLLECTION)

    async def bring(self, *hauls: list[Item], brook: Brook | None = None) -> StreamProducer:
        """Bring hauls in, and have all done; the producer can be asked what it saw."""
        producer = self.producer(*hauls, brook=brook)
        await producer.run(cast("Celery", None))
        await self.worker.drain()
        return producer

    async def job(self, producer: StreamProducer) -> Job:
        """Look at a producer's job."""
        job = await Jobs(self.redis, COLLECTION).get(producer.job)
        assert job is not None
        return job

    def texts(self) -> dict[str, list[str]]:
        """Give the texts of each document, by its id here."""
        found: dict[str, list[str]] = {}
        for row in sorted(self.worker.rows, key=lambda row: int(row.rpartition(":")[2])):
            found.setdefault(row.partition(":")[0], []).append(self.worker.rows[row])
        names = {document_id(SOURCE, key.encode()): key for key in "abcdefgh"}
        return {names.get(document, document): texts for document, texts in found.items()}


def silence(monkeypatch: Any) -> None:
    """Let nobody be told of batches: there is no broker."""
    monkeypatch.setattr(publishing, "announce", lambda *_: None)


async def settled(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.005)
