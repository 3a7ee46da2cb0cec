"""Promises of when a source counts as brought whole, with a real Redis."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from redis.asyncio import Redis

from contract.ledger.counters import BEGUN, COMPLETED, Counters
from contract.ledger.promises import Promises
from contract.queue import make_app
from contract.settings import Settings
from producers.listing import begin_listing
from producers.producer import Producer
from producers.sources.files import open_source
from producers.sources.shard import Remainder, Shard
from tests.servers.library import write_library


@pytest.fixture
def app(settings: Settings, redis: Redis) -> Iterator[Celery]:
    """Give a Celery app on the emptied Redis."""
    app = make_app(settings)
    yield app
    app.close()


async def _is_complete(redis: Redis) -> bool:
    found = (await Counters(redis, "shelf").by_source())["docs"]
    assert BEGUN in found
    return COMPLETED in found


async def test_a_source_is_complete_once_all_of_it_was_listed(
    tmp_path: Path,
    redis: Redis,
    settings: Settings,
    app: Celery,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not by a shard of it, nor by a listing that could not see everything."""
    folder = tmp_path / "docs"
    write_library(folder, 2, 500)
    source = open_source(str(folder))
    listing = await begin_listing(Promises(redis, "shelf"), source)
    for number in range(2):
        shard = Shard(open_source(str(folder)), number, 2)
        await Producer(redis, settings, shard, "shelf", listing=listing).run(app)
    assert not await _is_complete(redis)
    with monkeypatch.context() as patch:
        patch.setattr(type(source), "complete", property(lambda _: False))
        await Producer(redis, settings, source, "shelf").run(app)
    assert not await _is_complete(redis)
    await Producer(redis, settings, Remainder(source), "shelf", listing=listing).run(app)
    assert await _is_complete(redis)
