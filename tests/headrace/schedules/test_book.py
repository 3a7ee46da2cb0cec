"""What becomes of slots, by the schedule's policies, in real Redis."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from contract.errors import UsageError
from headrace.schedules import leases as leases_module
from headrace.schedules import names
from headrace.schedules.book import Book, Entry
from headrace.schedules.leases import Leases
from headrace.schedules.run import Claimed, RunState
from headrace.schedules.schedule import Missed, Overlap, Schedule
from headrace.schedules.timetable import Timetable
from producers.listing import Listing

MINUTE = 60_000
HOUR = 60 * MINUTE


@pytest.fixture
def book(redis: Redis) -> Book:
    """Give the book of an empty Redis."""
    return Book(redis)


@pytest.fixture
def leases(redis: Redis) -> Leases:
    """Give its leases."""
    return Leases(redis)


async def added(
    book: Book,
    name: str = "nightly",
    *,
    source: str = "docs",
    missed: Missed = Missed.ONCE,
    overlap: Overlap = Overlap.SKIP,
) -> int:
    """Add a schedule of every minute; gives the ms of its slot 0, which is dealt with."""
    timetable = Timetable(every_seconds=60)
    schedule = Schedule(
        name, f"/srv/{source}", timetable, source=source, missed=missed, overlap=overlap
    )
    assert await book.put(schedule.checked(), replace=False)
    entry = await book.find(name)
    assert entry is not None
    return entry.last_slot_ms // MINUTE * MINUTE


async def states(book: Book, name: str = "nightly") -> list[tuple[str, int]]:
    """Give states and slots of a schedule's runs, oldest first."""
    return [(run.state.value, run.slots) for run in reversed(await book.runs(name))]


async def claim(
    leases: Leases, run_id: str, owner: str = "me", source: str = "docs"
) -> Claimed | None:
    """Try to claim a run."""
    schedule = await leases.schedule_of(run_id)
    assert schedule is not None
    return await leases.claim(run_id, owner, schedule, source)


async def begun(leases: Leases, run_id: str, source: str = "docs") -> Claimed:
    """Claim a run."""
    claimed = await claim(leases, run_id, "me", source)
    assert claimed is not None
    return claimed


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


async def test_two_schedules_of_one_source_take_turns(book: Book, leases: Leases) -> None:
    """The second waits until the first lets go of the source; another source does not wait."""
    zero = await added(book, "one")
    await added(book, "two")
    await added(book, "other", source="other")
    for name in ("one", "two", "other"):
        assert await book.fire(name, zero + MINUTE) == "waiting"
    ids = {name: (await book.runs(name))[0].id for name in ("one", "two", "other")}
    first = await begun(leases, ids["one"])
    assert await claim(leases, ids["two"], "you", "docs") is None
    assert await claim(leases, ids["other"], "you", "other") is not None
    assert await claim(leases, ids["one"], "you", "docs") is None
    await leases.end(first, RunState.FAILED, "trouble", {})
    assert await claim(leases, ids["two"], "you", "docs") is not None


async def test_a_run_whose_process_fell_silent_is_taken_up_again(
    book: Book, leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three times; then it counts as failed, and its source is free."""
    zero = await added(book)
    await book.fire("nightly", zero + MINUTE)
    (run,) = await book.runs("nightly")
    assert await leases.overdue() == [run.id]
    assert await leases.overdue() == []
    monkeypatch.setattr(leases_module, "LEASE_SECONDS", 0.05)
    claimed = None
    for crashes in range(leases_module.MOST_CRASHES):
        claimed = await claim(leases, run.id, f"owner {crashes}", "docs")
        assert claimed is not None
        assert claimed.crashes == crashes
        async with asyncio.timeout(5):
            while await leases.overdue() != [run.id]:  # noqa: ASYNC110 - Redis tells
                await asyncio.sleep(0.01)
        assert not await leases.redis.zrange(names.LEASED, 0, -1)
    assert await claim(leases, run.id, "last", "docs") is None
    assert claimed is not None
    assert await leases.renew(claimed, "") == "lost"
    assert not await leases.end(claimed, RunState.DONE, "", {})
    (run,) = await book.runs("nightly")
    assert (run.state, run.crashes) == (RunState.FAILED, 3)
    assert "ended 3 times" in run.reason
    assert await leases.redis.hgetall(names.SOURCES) == {}
    assert await book.fire("nightly", zero + 2 * MINUTE) == "waiting"


async def test_a_run_that_is_given_back_is_no_crash(book: Book, leases: Leases) -> None:
    """Another process goes on with it at once."""
    zero = await added(book)
    await book.fire("nightly", zero + MINUTE)
    (run,) = await book.runs("nightly")
    claimed = await begun(leases, run.id)
    assert await leases.release(claimed)
    assert not await leases.release(claimed)
    assert await leases.overdue() == [run.id]
    assert (await begun(leases, run.id)).crashes == 0


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


async def test_shards_share_a_listing_and_are_gathered_by_the_last(
    book: Book, leases: Leases
) -> None:
    """The source stays with the whole; any process may have a shard; the last leads on."""
    zero = await added(book)
    await added(book, "other")
    entry = await book.find("nightly")
    assert entry is not None
    await book.put(msgspec.structs.replace(entry.schedule, shards=3), replace=True)
    await book.fire("nightly", zero + MINUTE)
    await book.fire("other", zero + MINUTE)
    (run,), (other,) = await book.runs("nightly"), await book.runs("other")
    whole = await begun(leases, run.id)
    assert await leases.scatter(whole, Listing(7, 100))
    assert not await leases.scatter(whole, Listing(8, 100))
    assert [run.state for run in await book.runs("nightly")] == [RunState.SCATTERED]
    assert await claim(leases, other.id, "you") is None
    assert await claim(leases, run.id) is None
    shards = [await begun(leases, f"{run.id}/{number}") for number in range(3)]
    assert [(shard.shard, shard.listing) for shard in shards] == [
        (number, Listing(7, 100)) for number in range(3)
    ]
    for number, shard in enumerate(shards):
        assert await claim(leases, run.id) is None
        await leases.renew(shard, f"job {number}")
        await leases.end(shard, RunState.DONE, "", {"counts": {"tokens": number}})
        assert not await leases.end(shard, RunState.DONE, "", {})
    gathered = await begun(leases, run.id)
    assert [(end.state, end.job) for end in gathered.ends] == [
        (RunState.DONE, f"job {number}") for number in range(3)
    ]
    assert gathered.listing == Listing(7, 100)
    await leases.end(gathered, RunState.DONE, "", {})
    assert await claim(leases, other.id, "you") is not None
    assert not [key async for key in book.redis.scan_iter(f"{names.RUN_PREFIX}*/*")]


async def test_shards_of_a_run_that_is_given_up_end_it(book: Book, leases: Leases) -> None:
    """Those under way hear of it, the others are never begun; then the run is cancelled."""
    zero = await added(book, overlap=Overlap.CANCEL)
    entry = await book.find("nightly")
    assert entry is not None
    await book.put(msgspec.structs.replace(entry.schedule, shards=2), replace=True)
    await book.fire("nightly", zero + MINUTE)
    (run,) = await book.runs("nightly")
    await leases.scatter(await begun(leases, run.id), Listing(1, 0))
    shard = await begun(leases, f"{run.id}/0")
    assert await book.fire("nightly", zero + 2 * MINUTE) == "queued"
    assert await leases.renew(shard, "") == "cancelled"
    await leases.end(shard, RunState.CANCELLED, "", {})
    assert await claim(leases, f"{run.id}/1") is None
    gathering = await begun(leases, run.id)
    assert [end.state for end in gathering.ends] == [RunState.CANCELLED] * 2
    await leases.end(gathering, RunState.CANCELLED, "", {})
    assert [found.state for found in await book.runs("nightly")] == [
        RunState.WAITING, RunState.CANCELLED,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"path": "docs"}, "absolute"),
        ({"path": "https://example.org/docs"}, "no source for such URLs"),
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
