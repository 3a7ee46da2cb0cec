"""Promises of the publisher, with a real Redis as ledger and broker."""

import asyncio
from collections.abc import Iterator

import pytest
from celery import Celery
from redis.asyncio import Redis

from contract.batch import Batch, Chunk, Part
from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import ClaimState, Finish, PartMark, Promise
from contract.names import BULK_QUEUE
from contract.queue import make_app, waiting_messages
from contract.settings import Settings
from producers.publishing import HighWater, Publisher

_MUCH = 2**30


@pytest.fixture
def app(settings: Settings, redis: Redis) -> Iterator[Celery]:
    """Give a Celery app on the emptied Redis."""
    app = make_app(settings)
    yield app
    app.close()


async def _batches(ledger: Ledger, number: int) -> list[Batch]:
    """Register documents of one chunk each, a batch for each."""
    job = await Jobs(ledger.redis, ledger.collection).create("shelf")
    promises = [Promise(f"d{n}", "shelf", f"{n}.md", "hash", 1) for n in range(number)]
    registered = await ledger.register(job, 1, promises)
    return [
        Batch(
            collection=ledger.collection,
            job=job,
            parts=(
                Part(
                    document_id=promise.document_id,
                    source="shelf",
                    version=made.version,
                    content_hash="hash",
                    chunk_count=1,
                    first=0,
                    chunks=(Chunk(key="k", text="text"),),
                ),
            ),
        )
        for promise, made in zip(promises, registered, strict=True)
    ]


async def _finish(ledger: Ledger, batch: Batch) -> None:
    """Do what a worker does, without the rows."""
    claim = await ledger.claim(batch.id, "worker:1", 30.0)
    assert claim.state is ClaimState.CLAIMED
    (part,) = batch.parts
    mark = PartMark(part.document_id, part.version, 0, 1)
    (settled,) = await ledger.settle([mark])
    assert await ledger.finish(batch.id, batch.job, Finish((mark,), (settled.verdict,), 1, 0))


async def test_every_batch_is_written_down_and_announced(redis: Redis, app: Celery) -> None:
    """After publishing, the ledger holds the batches and the queue a message for each."""
    ledger = Ledger(redis, "shelf")
    batches = await _batches(ledger, 3)
    publisher = Publisher(ledger, app, HighWater(_MUCH, _MUCH))
    await publisher.publish(batches)
    assert (await ledger.totals()).batches == 3
    assert waiting_messages(app) == 3
    assert await redis.llen(BULK_QUEUE) == 3
    await publisher.publish([])
    assert waiting_messages(app) == 3


@pytest.mark.parametrize(
    "high_water", [HighWater(2, _MUCH), HighWater(_MUCH, 1)], ids=["batches", "bytes"]
)
async def test_it_waits_at_the_high_water_mark(
    redis: Redis, app: Celery, high_water: HighWater
) -> None:
    """Above the mark nothing more is published until workers have finished something."""
    ledger = Ledger(redis, "shelf")
    first, second, third = await _batches(ledger, 3)
    publisher = Publisher(ledger, app, high_water)
    await publisher.publish([first, second])
    waiting = asyncio.create_task(publisher.publish([third]))
    done, _ = await asyncio.wait([waiting], timeout=0.3)
    assert not done
    assert (await ledger.totals()).batches == 2
    await _finish(ledger, first)
    await _finish(ledger, second)
    await asyncio.wait_for(waiting, 10)
    assert (await ledger.totals()).batches == 1
