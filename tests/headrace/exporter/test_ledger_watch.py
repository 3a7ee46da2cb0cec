"""Promises of what is told of ledgers, with real Redis."""

import time

import pytest
from redis.asyncio import Redis

from contract.lane import Lane
from contract.ledger.control import Halt, JobControl
from contract.ledger.usage import day_of
from contract.names import Keys
from contract.presence import KEY, PRODUCERS_KEY, Trouble, _beat
from contract.queue import announce, make_app
from contract.settings import Settings
from headrace.exporter import catalogue as c
from headrace.exporter.catalogue import Metric, Section
from headrace.exporter.ledger_watch import LedgerWatch
from headrace.exporter.samples import Samples
from tests.contract.ledger.shelf import Shelf
from tests.contract.ledger.worker_model import letter
from tests.contract.ledger.world import SOURCE


class Scraper:
    """Reads, and gives values as a scrape would show them."""

    def __init__(self, redis: Redis) -> None:
        """Read with a price of 2 dollars a million tokens."""
        self.watch = LedgerWatch(redis, None, 2.0)
        self.samples = Samples()

    async def read(self, later_seconds: float = 0.0) -> None:
        """Read now, and be scraped some seconds later."""
        facts = await self.watch.read()
        self.samples = Samples()
        self.samples.begin(Section.LEDGER)
        facts.put(self.samples, time.time() + later_seconds)

    def value(self, metric: Metric, *labels: str) -> float:
        """Give one value."""
        return self.samples.value(metric, *labels)


@pytest.fixture
def scraper(redis: Redis) -> Scraper:
    """Give one."""
    return Scraper(redis)


async def test_nothing_is_there(scraper: Scraper) -> None:
    """All that has known labels is 0, and there is nothing else."""
    await scraper.read()
    assert scraper.value(c.OLDEST, "bulk") == scraper.value(c.LETTERS, "other") == 0
    with pytest.raises(KeyError):
        scraper.value(c.SOURCE_CHUNKS, "books", SOURCE)


async def test_unfinished_work(scraper: Scraper, shelf: Shelf) -> None:
    """In all collections together; ages go on between two readings."""
    registered, batches = await shelf.promise("good")
    await shelf.ledger.claim(batches[0].id, "w1", 60.0)
    await scraper.read(later_seconds=100)
    assert scraper.value(c.BATCHES, "bulk", "waiting") == 1
    assert scraper.value(c.BATCHES, "bulk", "leased") == 1
    assert scraper.value(c.CHUNKS) == 3
    assert scraper.value(c.BYTES) > 0
    assert 100 <= scraper.value(c.OLDEST, "bulk") < 110
    assert scraper.value(c.OLDEST, "live") == 0
    assert scraper.value(c.ACTIVE_JOBS, "listing") == 1
    await shelf.ingest(*batches)  # the first is another's, and stays
    assert await JobControl(shelf.redis, "books").halt(registered.job, Halt.PAUSED)
    await shelf.ledger.release(batches[0].id, "w1")
    await scraper.read(later_seconds=100)
    assert scraper.value(c.BATCHES, "bulk", "parked") == 1
    assert scraper.value(c.OLDEST, "bulk") == 0
    assert scraper.value(c.ACTIVE_JOBS, "paused") == 1


async def test_batches_of_a_pause_that_nobody_remembers(scraper: Scraper, shelf: Shelf) -> None:
    """The totals tell of them."""
    registered, _ = await shelf.promise("good")
    await JobControl(shelf.redis, "books").halt(registered.job, Halt.PAUSED)
    await shelf.redis.delete(shelf.ledger.keys.jobs)
    await scraper.read()
    assert scraper.value(c.BATCHES, "bulk", "parked") == 2


async def test_sources_and_letters(scraper: Scraper, shelf: Shelf) -> None:
    """Counters, documents, and since when they are not fresh."""
    await shelf.ledger.promises.begin_listing(SOURCE, "/shelf")
    await shelf.commit("good")
    await shelf.commit("poisoned", document="d1")
    await shelf.commit("better", document="d2")
    await shelf.commit("gone", document="d2")
    await shelf.ledger.letters.bury([letter("d3")])
    labels = ("books", SOURCE)
    await scraper.read(later_seconds=50)
    assert scraper.value(c.SOURCE_DOCUMENTS, *labels, "committed") == 3
    assert scraper.value(c.SOURCE_DOCUMENTS, *labels, "failed") == 1
    assert scraper.value(c.SOURCE_CHUNKS, *labels) == 9
    assert scraper.value(c.SOURCE_DELETES, *labels) == 1
    assert scraper.value(c.DOCUMENTS, *labels) == 3
    assert scraper.value(c.LETTERS, "other") == scraper.value(c.LETTERS_WRITTEN, "other") == 2
    begun = scraper.value(c.SOURCE_SUCCESS, *labels)
    assert scraper.value(c.SOURCE_AGE, *labels) >= 50
    await shelf.jobs.mark_complete(SOURCE)
    await scraper.read()
    assert scraper.value(c.SOURCE_SUCCESS, *labels) > begun
    assert scraper.value(c.SOURCE_AGE, *labels) < 50


async def test_a_watched_source_is_known_up_to_now(scraper: Scraper, shelf: Shelf) -> None:
    """As long as its producer lives and nothing troubles it."""
    await shelf.ledger.promises.begin_listing(SOURCE, "/shelf")
    job = await shelf.jobs.create(SOURCE)
    await shelf.redis.hincrby(shelf.ledger.keys.counters, f"begun_ms\0{SOURCE}", -60_000)
    await shelf.jobs.mark_watching(job)
    await scraper.read()
    assert scraper.value(c.SOURCE_AGE, "books", SOURCE) < 30
    await shelf.jobs.note_trouble(job, "the folder is not there")
    await scraper.read()
    assert scraper.value(c.SOURCE_AGE, "books", SOURCE) >= 60


async def test_budgets(scraper: Scraper, shelf: Shelf) -> None:
    """A later job that came to its end takes the alarm away; tokens are those of today."""
    for at, (source, reason) in enumerate((("docs", "full"), ("docs", ""), ("notes", "full"))):
        job = await shelf.jobs.create(source)
        await shelf.redis.hincrby(shelf.ledger.keys.job(job), "created_ms", at)
        if reason:
            await shelf.jobs.hold(job, reason)
        await shelf.jobs.seal(job, {})
    today = day_of(time.time())
    for day, tokens in ((today, 5_000_000), (today - 1, 7)):
        await shelf.redis.hset(Keys("books").usage(day), "docs", tokens)
    await scraper.read()
    assert scraper.value(c.HELD) == 1
    assert scraper.value(c.TOKENS_TODAY) == 5_000_000
    assert scraper.value(c.COST_TODAY) == 10.0


async def test_who_is_there_and_waits(scraper: Scraper, redis: Redis) -> None:
    """A worker counts once for each server that it waits for."""
    waits = Trouble(dependency="milvus", reason="away", since_ms=1)
    await _beat(redis, KEY, "one", [waits, waits])
    await _beat(redis, KEY, "two", [waits])
    await _beat(redis, KEY, "three", [])
    await _beat(redis, PRODUCERS_KEY, "four", [])
    await scraper.read()
    assert scraper.value(c.PRESENT, "worker") == 3
    assert scraper.value(c.PRESENT, "producer") == 1
    assert scraper.value(c.WAITING, "milvus") == 2
    assert scraper.value(c.WAITING, "embedding") == 0


async def test_messages_of_both_lanes(scraper: Scraper, redis: Redis, settings: Settings) -> None:
    """Those that wait, and those that were handed out."""
    app = make_app(settings)
    announce(app, "books", ["a", "b"], Lane.LIVE)
    announce(app, "books", ["c"], Lane.BULK)
    with app.connection_for_read() as connection:
        message = connection.default_channel.basic_get(Lane.LIVE.queue)
        assert message is not None
        await scraper.read()
        shown = [
            scraper.value(metric, lane.value)
            for metric in (c.QUEUED, c.UNACKNOWLEDGED)
            for lane in (Lane.LIVE, Lane.BULK)
        ]
        assert shown == [1, 1, 1, 0]
    other = LedgerWatch(redis, app, None)
    facts = await other.read()
    assert facts.queues.waiting[Lane.LIVE] == 2
    app.close()
