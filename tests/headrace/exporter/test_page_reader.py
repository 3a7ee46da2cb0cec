"""Promises of what the status page is told, with a real Redis."""

import time

import orjson
from redis.asyncio import Redis

from contract.ledger.jobs import Jobs
from contract.ledger.letters import Letters
from contract.ledger.promises import Promises
from contract.ledger.records import DeadLetter
from contract.settings import Settings
from headrace.exporter.page_reader import SHOWN_LETTERS, PageReader
from headrace.schedules import names
from headrace.schedules.book import Book
from headrace.schedules.schedule import Schedule
from headrace.schedules.timetable import Timetable


def _letter(number: int) -> DeadLetter:
    return DeadLetter(
        document_id=f"d{number}", source="docs", key=f"{number}.md", key_bytes=b"x", job="j",
        stage="read", reason="too_big", message="m" * 900, at_ms=number, payload=b"A-TEXT-OF-IT",
    )  # fmt: skip


async def test_an_empty_ledger(redis: Redis, settings: Settings) -> None:
    """There is something to show before there is anything."""
    told = await PageReader(redis, settings).read()
    assert told["verdict"] == "fine"
    for name in ("jobs", "sources", "schedule_list", "letters"):
        assert not told[name]


async def test_sources_schedules_and_letters(redis: Redis, settings: Settings) -> None:
    """With freshness, states and reasons; and nothing of what stands in documents."""
    await Jobs(redis, "shelf").create("docs")
    await Promises(redis, "shelf").begin_listing("docs", "/srv/docs")
    await Jobs(redis, "shelf").mark_complete("docs")
    await Letters(redis, "shelf").bury([_letter(n) for n in range(SHOWN_LETTERS + 20)])
    book = Book(redis)
    for name in ("late", "paused", "hourly"):
        every = 3600 if name == "hourly" else 60
        await book.put(Schedule(name, "/srv/docs", Timetable(every_seconds=every)), replace=False)
    await book.pause("paused", paused=True)
    await redis.hset(names.state("late"), "last_slot", round(time.time() * 1000) - 120_000)
    limited = settings.model_copy(update={"source_tokens_per_day": 500})
    told = await PageReader(redis, limited).read()
    text = orjson.dumps(told).decode()
    assert "A-TEXT-OF-IT" not in text
    assert "/srv/docs" not in text, "where a source lies is nobody's business"
    (source,) = told["sources"]
    assert (source["name"], source["tokens_limit"]) == ("docs", 500)
    assert time.time() * 1000 - source["completed_ms"] < 60_000
    states = {entry["name"]: entry["state"] for entry in told["schedule_list"]}
    assert states == {"late": "overdue", "paused": "paused", "hourly": "waiting"}
    assert told["dead_letters"] == SHOWN_LETTERS + 20
    assert told["letter_reasons"] == {"too_big": SHOWN_LETTERS + 20}
    assert len(told["letters"]) == SHOWN_LETTERS
    assert len(told["letters"][0]["message"]) == 300
