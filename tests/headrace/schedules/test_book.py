"""What becomes of slots, by the schedule's policies, in real Redis."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from contract.errors import UsageError
from headrace.schedules import names
from headrace.schedules.book import Book, Entry
from headrace.schedules.leases import Leases
from headrace.schedules.run import RunState
from headrace.schedules.schedule import Missed, Overlap, Schedule
from headrace.schedules.timetable import Timetable
from tests.headrace.schedules.runs import MINUTE, added, begun, states

HOUR = 60 * MINUTE


async def test_a_slot_is_dealt_with_once(book: Book) -> None:
    """Whoever comes second, or at once, finds it dealt with."""
    zero = await added(book)
    now = zero + MINUTE + 1
    outcomes = await asyncio.gather(*(book.fire("nightly", now) for _ in range(20)))
    assert sorted(set(outcomes) - {"nothing", "stale"}) == ["waiting"]
    assert outcomes.count("waiting") == 1
    assert await states(book) == [("waiting", 1)]
    assert await book.fire("nightly", now) == "nothing"


async def test_a_slot_that_was_dealt_with_meanwhile_is_left_alone(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another scheduler, a pause, or a change came between the look and the step."""
    zero = await added(book)
    now = zero + MINUTE + 1
    seen = await book.find("nightly")
    assert seen is not None

    async def as_it_was(_name: str) -> Entry | None:
        return seen

    late = Book(book.redis)
    monkeypatch.setattr(late, "find", as_it_was)
    await book.pause("nightly", paused=True)
    assert await late.fire("nightly", now) == "stale"
    await book.pause("nightly", paused=False)
    other = msgspec.structs.replace(seen.schedule, path="/srv/other")
    await book.put(other, replace=True)
    assert await late.fire("nightly", now) == "stale"
    seen = await book.find("nightly")
    assert await book.fire("nightly", now) == "waiting"
    assert await late.fire("nightly", now) == "stale"
    assert await states(book) == [("waiting", 1)]


async def test_before_its_first_slot_nothing_is_due(book: Book) -> None:
    """A new schedule has no past."""
    zero = await added(book)
    assert await book.fire("nightly", zero) == "nothing"
    assert await book.fire("absent", zero + HOUR) == "nothing"


@pytest.mark.parametrize(
    ("policy", "late", "expected"),
    [
        (Missed.ONCE, 10 * MINUTE + 1, [("missed", 9), ("waiting", 1)]),
        (Missed.SKIP, 10 * MINUTE + 1, [("missed", 9), ("waiting", 1)]),
        (Missed.ONCE, 1 * MINUTE + 1, [("waiting", 1)]),
    ],
)
async def test_missed_slots(
    book: Book, policy: Missed, late: int, expected: list[tuple[str, int]]
) -> None:
    """Of many slots the newest is run; one that is on time is run whatever the policy."""
    zero = await added(book, missed=policy)
    assert await book.fire("nightly", zero + late) == "waiting"
    assert await states(book) == expected


@pytest.mark.parametrize(
    ("policy", "outcome", "expected"),
    [
        (Missed.ONCE, "waiting", [("missed", 2), ("waiting", 1)]),
        (Missed.SKIP, "missed", [("missed", 3)]),
    ],
)
async def test_the_newest_slot_too_can_be_missed(
    redis: Redis, policy: Missed, outcome: str, expected: list[tuple[str, int]]
) -> None:
    """Of an hourly schedule whose scheduler came back half an hour after the slot."""
    book = Book(redis)
    schedule = Schedule("nightly", "/srv/docs", Timetable(every_seconds=3600), missed=policy)
    await book.put(schedule, replace=False)
    entry = await book.find("nightly")
    assert entry is not None
    zero = entry.last_slot_ms // HOUR * HOUR
    assert await book.fire("nightly", zero + 3 * HOUR + 30 * MINUTE) == outcome
    assert await states(book) == expected


@pytest.mark.parametrize(
    ("policy", "second", "third"),
    [
        (Overlap.SKIP, "skipped", "skipped"),
        (Overlap.QUEUE, "queued", "skipped"),
        (Overlap.CANCEL, "queued", "skipped"),
    ],
)
async def test_overlap(
    book: Book, leases: Leases, policy: Overlap, second: str, third: str
) -> None:
    """While a run is under way the next is skipped, or waits behind it; one at most waits."""
    zero = await added(book, overlap=policy)
    assert await book.fire("nightly", zero + 1 * MINUTE) == "waiting"
    (run,) = await book.runs("nightly")
    claimed = await begun(leases, run.id)
    assert await book.fire("nightly", zero + 2 * MINUTE) == second
    assert await book.fire("nightly", zero + 3 * MINUTE) == third
    cancelled = policy is Overlap.CANCEL
    assert await leases.renew(claimed, "") == ("cancelled" if cancelled else "kept")
    entry = await book.find("nightly")
    assert entry is not None
    waits = entry.queued
    assert await leases.end(claimed, RunState.DONE, "", {"counts": {}})
    entry = await book.find("nightly")
    assert entry is not None
    assert (entry.active, entry.queued) == (waits, "")
    if waits:
        assert waits in await leases.overdue()
        assert (await begun(leases, waits)).id == waits
    assert await book.fire("nightly", zero + 4 * MINUTE) == ("waiting" if not waits else second)


async def test_a_pause_has_no_past(book: Book) -> None:
    """Nothing is due meanwhile, and nothing is made up for."""
    zero = await added(book)
    assert await book.pause("nightly", paused=True)
    assert await book.fire("nightly", zero + 5 * MINUTE) == "nothing"
    entry = await book.find("nightly")
    assert entry is not None
    assert entry.next_due_ms(zero) == 0
    assert await book.pause("nightly", paused=False)
    entry = await book.find("nightly")
    assert entry is not None
    assert not entry.paused
    assert not await book.pause("absent", paused=True)
    await book.pause("nightly", paused=True)
    await book.redis.hset(names.state("nightly"), "last_slot", zero - HOUR)
    await book.pause("nightly", paused=False)
    entry = await book.find("nightly")
    assert entry is not None
    assert entry.last_slot_ms >= zero


async def test_a_run_that_is_asked_for(book: Book, leases: Leases) -> None:
    """It begins now, or behind the one that is under way; one at most waits."""
    with pytest.raises(UsageError, match="no schedule"):
        await book.request("nightly")
    await added(book)
    first = await book.request("nightly")
    second = await book.request("nightly")
    assert first != second
    assert await book.request("nightly") == second
    claimed = await begun(leases, first)
    await leases.end(claimed, RunState.DONE, "", {})
    await begun(leases, second)


async def test_a_schedule_that_is_removed_takes_its_runs_along(book: Book, leases: Leases) -> None:
    """One under way is cancelled and ends; one that waits is forgotten."""
    zero = await added(book, overlap=Overlap.QUEUE)
    await book.fire("nightly", zero + MINUTE)
    (run,) = await book.runs("nightly")
    claimed = await begun(leases, run.id)
    await book.fire("nightly", zero + 2 * MINUTE)
    assert await book.remove("nightly")
    assert not await book.remove("nightly")
    assert await leases.renew(claimed, "") == "cancelled"
    assert await leases.end(claimed, RunState.CANCELLED, "", {})
    assert await book.entries() == []
    assert await leases.overdue() == []
    assert await leases.redis.hgetall(names.SOURCES) == {}
    zero = await added(book)
    assert await book.fire("nightly", zero + MINUTE) == "waiting"
    await book.remove("nightly")
    assert await leases.overdue() == []


async def test_a_schedule_that_is_changed_goes_on_from_its_last_slot(book: Book) -> None:
    """Unless it is the timetable that is changed: then it has no past."""
    zero = await added(book)
    entry = await book.find("nightly")
    assert entry is not None
    same = Schedule("nightly", "/srv/other", entry.schedule.timetable)
    assert not await book.put(same, replace=False)
    assert await book.fire("nightly", zero + 1 * MINUTE) == "waiting"
    before = await book.revision()
    assert await book.put(same, replace=True)
    assert await book.revision() > before
    assert await book.fire("nightly", zero + 1 * MINUTE) == "nothing"
    assert await book.fire("nightly", zero + 2 * MINUTE) == "skipped"
    hourly = msgspec.structs.replace(same, timetable=Timetable(every_seconds=3600))
    await book.redis.hset(names.state("nightly"), "last_slot", zero - HOUR)
    assert await book.put(hourly, replace=True)
    entry = await book.find("nightly")
    assert entry is not None
    assert entry.last_slot_ms >= zero


async def test_history_is_bounded(book: Book, leases: Leases) -> None:
    """A hundred runs are kept, and of those before nothing."""
    zero = await added(book)
    for number in range(1, 130):
        assert await book.fire("nightly", zero + number * MINUTE) == "waiting"
        claimed = await begun(leases, (await book.runs("nightly", 1))[0].id)
        await leases.end(claimed, RunState.DONE, "", {"counts": {"tokens": number}})
    runs = await book.runs("nightly")
    assert len(runs) == 100
    assert runs[0].result == {"counts": {"tokens": 129}}
    keys = [key async for key in book.redis.scan_iter(f"{names.RUN_PREFIX}*")]
    assert len(keys) == 100


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"path": "docs"}, "absolute"),
        ({"path": "https://me:secret@example.org/docs"}, "without them"),
        ({"path": "s3://bucket/docs"}, "only http and https"),
        ({"collection": "a-b"}, "collection"),
        ({"lane": "fast"}, "lane"),
        ({"shards": 0}, "shards"),
    ],
)
def test_schedules_that_make_no_sense_are_refused(
    fields: dict[str, object], what: str, tmp_path: Path
) -> None:
    """The message says what is wrong."""
    sound: dict[str, object] = {
        "name": "a", "path": str(tmp_path), "timetable": Timetable(cron="0 3 * * *"),
    }  # fmt: skip
    Schedule(**sound).checked()  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=what):
        Schedule(**{**sound, **fields}).checked()  # type: ignore[arg-type]
