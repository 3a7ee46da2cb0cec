"""Expiry: what was not seen for as long as its source allows, by a clock that is passed in."""

import time
from typing import cast

import pytest
from celery import Celery
from redis.asyncio import Redis

from contract.ledger.connection import text
from contract.ledger.sources import Sources
from contract.settings import Settings
from headrace.expiry import expire_once
from tests.producers.brook import COLLECTION, SOURCE, Bank, item, silence

NO_APP = cast("Celery", None)
DAY = 86_400


class Calendar(Bank):
    """A stream and its ledger, looked at some time from now."""

    async def after(self, seconds: float) -> list[str]:
        """Let so much time pass, and expire what is to."""
        jobs = await expire_once(self.redis, NO_APP, self.settings, lambda: time.time() + seconds)
        await self.worker.drain()
        return jobs

    async def allow(self, seconds: int | None) -> None:
        """Say how long documents may be unseen."""
        await Sources(self.redis, COLLECTION).set_ttl(SOURCE, seconds)


@pytest.fixture
def calendar(redis: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Calendar:
    """Give a ledger."""
    silence(monkeypatch)
    return Calendar(redis, settings)


async def test_what_was_not_seen_for_long_goes(calendar: Calendar) -> None:
    """Not before, and once; what came again, changed or not, stays."""
    await calendar.bring([item(id=key, text=key) for key in "abc"])
    await calendar.allow(30 * DAY)
    assert await calendar.after(30 * DAY - 60) == []
    # Days later, as if it were so: what was seen is older by then.
    index = calendar.ledger.keys.source(SOURCE)
    for document in await calendar.redis.zrange(index, 0, -1):
        await calendar.redis.zincrby(index, -10 * DAY * 1000, text(document))
    await calendar.bring([item(id="b", text="b")], [item(id="c", text="other")])
    assert await calendar.after(20 * DAY - 60) == []
    (job,) = await calendar.after(20 * DAY + 60)
    assert calendar.texts() == {"b": ["b"], "c": ["other"]}
    assert job
    assert await calendar.after(20 * DAY + 120) == []
    await calendar.after(30 * DAY + 60)
    assert calendar.texts() == {}


async def test_without_a_time_to_live_documents_stay(calendar: Calendar) -> None:
    """For ever."""
    await calendar.bring([item(id="a", text="one")])
    assert await calendar.after(10_000 * DAY) == []
    await calendar.allow(DAY)
    await calendar.allow(None)
    assert await calendar.after(10_000 * DAY) == []
    assert calendar.texts() == {"a": ["one"]}


async def test_a_deletion_that_is_not_through_is_not_promised_again(calendar: Calendar) -> None:
    """No job for each look while workers are away."""
    await calendar.bring([item(id="a", text="one")])
    await calendar.allow(DAY)
    later = time.time() + 2 * DAY
    assert len(await expire_once(calendar.redis, NO_APP, calendar.settings, lambda: later)) == 1
    assert await expire_once(calendar.redis, NO_APP, calendar.settings, lambda: later) == []
    await calendar.worker.drain()
    assert calendar.texts() == {}


async def test_after_a_rebuild_the_time_begins_anew(calendar: Calendar) -> None:
    """Nobody knows when documents were seen that the ledger was told of by Milvus."""
    await calendar.bring([item(id="a", text="one")])
    await calendar.allow(DAY)
    index = calendar.ledger.keys.source(SOURCE)
    (document,) = await calendar.redis.zrange(index, 0, -1)
    await calendar.redis.zadd(index, {text(document): 0})
    assert await calendar.after(0) == []
    assert len(await calendar.after(2 * DAY)) == 1
    assert calendar.texts() == {}


async def test_one_scheduler_at_a_time(calendar: Calendar) -> None:
    """Who finds another at it leaves it to that one."""
    await calendar.bring([item(id="a", text="one")])
    await calendar.allow(DAY)
    lock = calendar.redis.lock(calendar.ledger.keys.lock("expiry"), timeout=60)
    assert await lock.acquire()
    assert await calendar.after(2 * DAY) == []
    await lock.release()
    assert len(await calendar.after(2 * DAY)) == 1
