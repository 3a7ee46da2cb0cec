"""The sweeper: what fell on the floor is announced again, and nothing else."""

import asyncio
import base64
import json
from collections.abc import Iterator

import pytest
from celery import Celery
from redis.asyncio import Redis

from contract.batch import Batch
from contract.lane import Lane
from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.sweeper import LOCK_KEY, keep_sweeping, sweep_once
from contract.names import BULK_QUEUE, LIVE_QUEUE, Keys
from contract.queue import announce, make_app, waiting_messages
from contract.settings import Settings
from tests.contract.ledger.shelf import promise
from tests.contract.ledger.world import SOURCE, parts_of

DEADLINE_SECONDS = 10.0


@pytest.fixture
def app(settings: Settings, redis: Redis) -> Iterator[Celery]:
    """Give a Celery app whose queue nobody reads."""
    app = make_app(settings)
    yield app
    app.close()


async def publish(
    redis: Redis, number: int, collection: str = "books", lane: Lane = Lane.BULK
) -> list[str]:
    """Publish documents of one batch each, long enough ago to be announced again."""
    ledger = Ledger(redis, collection)
    job = await Jobs(redis, collection).create(SOURCE)
    documents = [f"{lane.value}{at}" for at in range(number)]
    found = await ledger.promises.register(job, [promise(d, "good") for d in documents])
    batches = [
        Batch(
            collection=collection,
            job=job,
            parts=tuple(parts_of(d, r.version, "good")),
            lane=lane,
        )
        for d, r in zip(documents, found, strict=True)
    ]
    ids = await ledger.publish(batches)
    await redis.zadd(ledger.keys.waiting, {batch_id: 1 + at for at, batch_id in enumerate(ids)})
    return ids


async def test_nothing_to_sweep(redis: Redis, app: Celery) -> None:
    """Without batches nothing is announced."""
    assert await sweep_once(redis, app) == 0
    await Jobs(redis, "books").create(SOURCE)
    assert await sweep_once(redis, app) == 0
    assert await asyncio.to_thread(waiting_messages, app) == 0


async def test_lost_messages(redis: Redis, app: Celery) -> None:
    """A batch without a message is announced, once."""
    await publish(redis, 3)
    assert await sweep_once(redis, app) == 3
    assert await sweep_once(redis, app) == 0
    assert await redis.llen(BULK_QUEUE) == 3


async def test_a_long_queue_is_not_flooded(redis: Redis, app: Celery) -> None:
    """Batches that wait behind others are left alone; as many are announced as are missing."""
    ids = await publish(redis, 5)
    await asyncio.to_thread(announce, app, "books", ids[1:])
    assert await sweep_once(redis, app) == 1
    assert await asyncio.to_thread(waiting_messages, app) == 5


async def test_a_long_queue_of_another_collection_hides_nothing(redis: Redis, app: Celery) -> None:
    """A lost message is missed although another collection fills the queue."""
    await asyncio.to_thread(announce, app, "books", await publish(redis, 20))
    await publish(redis, 1, "films")
    assert 1 <= await sweep_once(redis, app) <= 2
    found = await redis.lrange(BULK_QUEUE, 0, -1)
    assert sum(b"films" in message for message in map(_body, found)) == 1
    assert await sweep_once(redis, app) == 0


async def test_taken_away_and_announced(redis: Redis, app: Celery) -> None:
    """The batch of a dead worker is announced, however long the queue is."""
    ids = await publish(redis, 3)
    await asyncio.to_thread(announce, app, "books", [*ids, *ids])
    await Ledger(redis, "books").claim(ids[2], "host-1.7", 60.0)
    assert await sweep_once(redis, app) == 0
    assert await sweep_once(redis, app, silent_owner="host-1.") == 1
    await Ledger(redis, "books").claim(ids[0], "host-2.7", 0.0)
    assert await sweep_once(redis, app) == 1


async def test_killed_before_the_announcement(redis: Redis, app: Celery) -> None:
    """What one sweeper took away and did not announce, the next one does."""
    ids = await publish(redis, 2)
    await asyncio.to_thread(announce, app, "books", ids[1:])
    ledger = Ledger(redis, "books")
    await ledger.claim(ids[0], "w1.", 0.0)
    assert (await ledger.sweep()).taken_away == 1
    assert await sweep_once(redis, app) == 1


async def test_lanes_are_kept(redis: Redis, app: Celery) -> None:
    """A batch is announced in its own lane, also when it was taken from a dead worker."""
    (live,) = await publish(redis, 1, lane=Lane.LIVE)
    await publish(redis, 1)
    assert await sweep_once(redis, app) == 2
    (message,) = await redis.lrange(LIVE_QUEUE, 0, -1)
    assert live.encode() in _body(message)
    assert await redis.llen(LIVE_QUEUE) == await redis.llen(BULK_QUEUE) == 1
    await redis.delete(LIVE_QUEUE)
    await Ledger(redis, "books").claim(live, "w1.", 60.0)
    assert await sweep_once(redis, app, silent_owner="w1.") == 1
    assert await redis.llen(LIVE_QUEUE) == 1


async def test_a_long_queue_of_bulk_hides_no_live_one(redis: Redis, app: Celery) -> None:
    """A lost message is missed in its lane, however many wait in the other one, or are in hand."""
    bulk = await publish(redis, 5)
    await asyncio.to_thread(announce, app, "books", [*bulk, *bulk])
    await publish(redis, 1, lane=Lane.LIVE)
    with app.connection_for_read() as connection:
        assert await asyncio.to_thread(connection.default_channel.basic_get, BULK_QUEUE)
        assert await sweep_once(redis, app) == 1
    assert await redis.llen(LIVE_QUEUE) == 1


async def test_a_batch_of_an_older_release_is_bulk(redis: Redis, app: Celery) -> None:
    """Whose entry says nothing of a lane."""
    (old,) = await publish(redis, 1, lane=Lane.LIVE)
    await redis.hdel(Keys("books").batch(old), "lane")
    assert await sweep_once(redis, app) == 1
    assert await redis.llen(BULK_QUEUE) == 1


async def test_keep_sweeping(redis: Redis, app: Celery, settings: Settings) -> None:
    """A running sweeper announces by itself, under a lock that ends with it."""
    await publish(redis, 2)
    task = asyncio.create_task(keep_sweeping(redis, app, settings))
    # Its first message wakes us, as it would a worker.
    assert await redis.blpop([BULK_QUEUE], timeout=DEADLINE_SECONDS) is not None
    assert 0 < await redis.pttl(LOCK_KEY) < 2_000
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_one_sweeper_at_a_time(redis: Redis, app: Celery, settings: Settings) -> None:
    """A sweeper that finds the lock held leaves everything alone."""
    ids = await publish(redis, 1)
    ledger = Ledger(redis, "books")
    await ledger.claim(ids[0], "w1.", 0.0)
    await redis.set(LOCK_KEY, "other")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await keep_sweeping(redis, app, settings)
    assert await redis.zcard(ledger.keys.leased) == 1


def _body(message: bytes | str) -> bytes:
    return base64.b64decode(json.loads(message)["body"])
