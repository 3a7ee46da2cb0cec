"""Schedules of every minute, and their runs."""

from headrace.schedules.book import Book
from headrace.schedules.leases import Leases
from headrace.schedules.run import Claimed
from headrace.schedules.schedule import Missed, Overlap, Schedule
from headrace.schedules.timetable import Timetable

MINUTE = 60_000


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
