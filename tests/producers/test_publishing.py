"""Promises of the publisher, with a real Redis as ledger and broker."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from msgspec.structs import replace
from pydantic import SecretStr
from redis.asyncio import Redis

from contract.batch import Batch, Chunk, Part
from contract.lane import Lane
from contract.ledger.connection import connect
from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import ClaimState, Finish, PartMark, Promise
from contract.ledger.sweeper import sweep_once
from contract.names import BULK_QUEUE, LIVE_QUEUE
from contract.queue import make_app, waiting_messages
from contract.settings import Settings, load_settings
from contract.tasks import end
from producers.publishing import HighWater, Publisher
from tests.servers.redis import free_port, redis_tcp_server

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
    await ledger.promises.begin_listing("shelf", "/shelf")
    promises = [
        Promise(
            document_id=f"d{n}",
            source="shelf",
            key_bytes=f"{n}.md".encode(),
            content_hash="hash",
            chunk_count=1,
        )
        for n in range(number)
    ]
    registered = await ledger.promises.register(job, promises)
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


async def test_live_batches_go_ahead(redis: Redis, app: Celery) -> None:
    """They lie in their own queue, and a job that waits at the mark does not keep them out."""
    ledger = Ledger(redis, "shelf")
    batches = await _batches(ledger, 6)
    bulk, live = batches[:4], [replace(batch, lane=Lane.LIVE) for batch in batches[4:]]
    publisher = Publisher(ledger, app, HighWater(4, _MUCH))
    await publisher.publish([*bulk[:3], live[0]])
    assert await redis.llen(LIVE_QUEUE) == 1
    assert await redis.llen(BULK_QUEUE) == 3
    waiting = asyncio.create_task(publisher.publish([bulk[3]]))
    await publisher.publish([live[1]])
    assert not waiting.done()
    assert await redis.llen(LIVE_QUEUE) == 2
    over = asyncio.create_task(publisher.publish([live[1]]))
    done, _ = await asyncio.wait([over], timeout=0.3)
    assert not done, "they may exceed it by a quarter"
    for task in (over, waiting):
        await end(task)


async def test_a_broker_that_is_away_stops_no_one(
    redis: Redis, app: Celery, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Batches without a message stand in the ledger; it is told of once, and of the end once."""
    caplog.set_level(logging.INFO)
    away = make_app(
        settings.model_copy(
            update={"broker_url": SecretStr(f"redis://:sesame@127.0.0.1:{free_port()}")}
        )
    )
    ledger = Ledger(redis, "shelf")
    first, second, third = await _batches(ledger, 3)
    publisher = Publisher(ledger, away, HighWater(_MUCH, _MUCH))
    for batch in (first, second):
        await publisher.publish([batch])
    assert (await ledger.totals()).batches == 2
    away.close()
    publisher._app = app
    await publisher.publish([third])
    assert waiting_messages(app) == 1
    events = [r for r in caplog.records if getattr(r, "event", "").startswith("announce")]
    assert [r.__dict__["event"] for r in events] == ["announce_failed", "announce_resumed"]
    assert "sesame" not in caplog.text
    assert "sesame" not in events[0].__dict__["error"]
    async with asyncio.timeout(10):
        while waiting_messages(app) < 3:
            await sweep_once(redis, app)
            await asyncio.sleep(0.1)


async def test_a_full_redis_is_waited_for(tmp_path: Path) -> None:
    """Publishing waits for workers to make room, while they still can do all that they do."""
    with redis_tcp_server(tmp_path) as server:
        settings = load_settings({}, tmp_path, redis_url=server.url)
        app, told = make_app(settings), list[str]()
        patient = connect(settings, patience_seconds=30.0, on_trouble=told.append)
        redis = connect(settings)
        ledger = Ledger(patient, "shelf")
        first, second = await _batches(ledger, 2)
        publisher = Publisher(ledger, app, HighWater(_MUCH, _MUCH))
        await publisher.publish([first])
        await redis.config_set("maxmemory", "1")
        publishing = asyncio.create_task(publisher.publish([second]))
        async with asyncio.timeout(10):
            while not told:  # noqa: ASYNC110 - nothing else tells
                await asyncio.sleep(0.01)
        assert "memory" in told[0]
        await _finish(Ledger(redis, "shelf"), first)
        assert not publishing.done()
        await redis.config_set("maxmemory", "0")
        await asyncio.wait_for(publishing, 5)
        assert told[1:] == [""]
        assert (await ledger.totals()).batches == 1
        await redis.aclose()
        await patient.aclose()
        app.close()


async def test_a_message_that_finds_no_room_is_left_to_the_sweeper(
    redis: Redis, app: Celery, settings: Settings, tmp_path: Path
) -> None:
    """A broker that is full refuses messages; the batch stands in the ledger all the same."""
    with redis_tcp_server(tmp_path) as server:
        full = make_app(settings.model_copy(update={"broker_url": SecretStr(server.url)}))
        async with connect(settings.model_copy(update={"redis_url": SecretStr(server.url)})) as own:
            await own.config_set("maxmemory", "1")
        ledger = Ledger(redis, "shelf")
        publisher = Publisher(ledger, full, HighWater(_MUCH, _MUCH))
        await publisher.publish(await _batches(ledger, 1))
        assert (await ledger.totals()).batches == 1
        full.close()
