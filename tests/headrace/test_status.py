"""Promises of the status, with a real Redis."""

import asyncio
import time
from dataclasses import asdict

import orjson
from redis.asyncio import Redis

from contract.lane import Lane
from contract.ledger.control import Halt, JobControl
from contract.ledger.jobs import Jobs
from contract.ledger.letters import Letters
from contract.ledger.records import DeadLetter
from contract.ledger.survey import LaneState
from contract.names import Keys
from contract.presence import KEY, Trouble, keep_present
from contract.queue import announce, make_app
from contract.settings import Settings
from contract.tasks import end
from headrace.schedules import names
from headrace.schedules.book import Book
from headrace.schedules.schedule import Schedule
from headrace.schedules.timetable import Timetable
from headrace.status import read_status, status_as_dict


def _letter(document: str) -> DeadLetter:
    return DeadLetter(
        document_id=document, source="docs", key="a.md", key_bytes=b"a.md", job="j", stage="read",
        reason="too_big", message="it is", at_ms=1,
    )  # fmt: skip


async def test_an_empty_ledger_has_nothing_to_tell(redis: Redis) -> None:
    """Before the first import there are no collections and no workers."""
    status = status_as_dict(await read_status(redis, jobs=5))
    queues = {"live": 0, "bulk": 0}
    assert status == {
        "running": True,
        "workers": [],
        "producers": [],
        "schedules": 0,
        "overdue_schedules": [],
        "troubles": {},
        "queues": queues,
        "lanes": {lane: asdict(LaneState()) for lane in queues},
        "collections": [],
    }


async def test_schedules_that_should_have_run_by_now(redis: Redis) -> None:
    """One whose slot nobody has dealt with is named; one that is paused is not."""
    book = Book(redis)
    for name in ("late", "paused", "hourly"):
        every = 3600 if name == "hourly" else 60
        await book.put(Schedule(name, "/srv/docs", Timetable(every_seconds=every)), replace=False)
    await book.pause("paused", paused=True)
    for name in ("late", "paused"):
        await redis.hset(names.state(name), "last_slot", round(time.time() * 1000) - 120_000)
    status = await read_status(redis, jobs=1)
    assert (status.schedules, status.overdue) == (3, ("late",))


async def test_how_long_the_lanes_are(redis: Redis, settings: Settings) -> None:
    """Messages that wait are counted by lane, unless they lie elsewhere."""
    app = make_app(settings)
    await asyncio.to_thread(announce, app, "books", ["a", "b"])
    await asyncio.to_thread(announce, app, "books", ["c"], Lane.LIVE)
    app.close()
    assert (await read_status(redis, jobs=1)).queues == {"live": 1, "bulk": 2}
    assert (await read_status(redis, jobs=1, is_broker=False)).queues is None


async def test_every_collection_with_its_newest_jobs(redis: Redis) -> None:
    """Collections are named in order, with dead letters and a limited number of jobs."""
    for collection in ("b", "a"):
        jobs = Jobs(redis, collection)
        created = [await jobs.create("docs") for _ in range(3)]
        counts = {"documents_listed": 7, "tokens_saved": 500_000}
        await jobs.seal(created[0], counts)
    await Letters(redis, "a").bury([_letter("x"), _letter("y")])
    status = await read_status(redis, jobs=2)
    await redis.zadd(KEY, {"host:1:aa:": status.now_ms, "host:2:bb:": status.now_ms - 60_000})
    status = await read_status(redis, jobs=3)
    assert status.workers == ("host:1:aa:",), "a worker silent for a minute is gone"
    assert [item.name for item in status.collections] == ["a", "b"]
    assert [item.dead_letters for item in status.collections] == [2, 0]
    shown = status_as_dict(status, 0.02)
    orjson.dumps(shown)
    jobs_shown = {job["id"]: job for job in shown["collections"][0]["jobs"]}
    assert jobs_shown[created[0]]["state"] == "done"
    assert jobs_shown[created[0]]["counts"]["documents_listed"] == 7
    assert jobs_shown[created[0]]["usd_saved"] == 0.01
    assert {job["state"] for job in jobs_shown.values()} == {"done", "listing"}
    limited = await read_status(redis, jobs=2)
    assert [len(item.jobs) for item in limited.collections] == [2, 2]


async def test_halted_jobs_are_not_forgotten(redis: Redis) -> None:
    """A paused job is shown however old it is, and what is being cleared up as well."""
    jobs, control = Jobs(redis, "a"), JobControl(redis, "a")
    paused, cancelled, *_ = [await jobs.create("docs") for _ in range(6)]
    await redis.sadd(Keys("a").open(cancelled), "document")
    await control.halt(paused, Halt.PAUSED)
    await control.halt(cancelled, Halt.CANCELLED)
    (shown,) = status_as_dict(await read_status(redis, jobs=2))["collections"]
    assert [job["state"] for job in shown["jobs"]] == ["listing", "listing", "paused"]
    assert shown["jobs"][-1]["id"] == paused
    assert shown["clearing"] == [cancelled]


async def test_what_a_worker_waits_for_is_shown(redis: Redis, settings: Settings) -> None:
    """The server that is away, why and since when; and no longer than it lasts."""
    troubles = [Trouble("milvus", "Milvus at x can't be reached", 5)]
    present = asyncio.create_task(keep_present(redis, "host:1:aa:", settings, lambda: troubles))
    expected = {
        "host:1:aa:": [
            {"dependency": "milvus", "reason": "Milvus at x can't be reached", "since_ms": 5}
        ]
    }
    await _until_troubles(redis, expected)
    troubles.clear()
    await _until_troubles(redis, {})
    assert (await read_status(redis, jobs=1)).workers == ("host:1:aa:",)
    troubles.append(Trouble("embedding", "hangs", 7))
    await end(present)
    assert status_as_dict(await read_status(redis, jobs=1))["troubles"] == {}


async def _until_troubles(redis: Redis, expected: object) -> None:
    deadline = time.monotonic() + 6
    while status_as_dict(await read_status(redis, jobs=1))["troubles"] != expected:
        assert time.monotonic() < deadline, "the status did not change"
        await asyncio.sleep(0.02)
