"""Who carries out a run, in real Redis: one at a time, also after a crash, and by shards."""

import asyncio

import msgspec
import pytest

from headrace.schedules import leases as leases_module
from headrace.schedules import names
from headrace.schedules.book import Book
from headrace.schedules.leases import Leases
from headrace.schedules.run import RunState
from headrace.schedules.schedule import Overlap
from producers.listing import Listing
from tests.headrace.schedules.runs import MINUTE, added, begun, claim


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


async def test_shards_share_a_listing_and_are_gathered_by_the_last(
    book: Book, leases: Leases
) -> None:
    """The source stays with the whole; any process may have a shard; the last leads on."""
    zero = await added(book)
    await added(book, "other")
    entry = await book.find("nightly")
    assert entry is not None
    await book.put(msgspec.structs.replace(entry.schedule, shards=12), replace=True)
    await book.fire("nightly", zero + MINUTE)
    await book.fire("other", zero + MINUTE)
    (run,), (other,) = await book.runs("nightly"), await book.runs("other")
    whole = await begun(leases, run.id)
    assert await leases.scatter(whole, Listing(7, 100))
    assert not await leases.scatter(whole, Listing(8, 100))
    assert [run.state for run in await book.runs("nightly")] == [RunState.SCATTERED]
    assert await claim(leases, other.id, "you") is None
    assert await claim(leases, run.id) is None
    shards = [await begun(leases, f"{run.id}/{number}") for number in range(12)]
    assert [(shard.shard, shard.listing) for shard in shards] == [
        (number, Listing(7, 100)) for number in range(12)
    ]
    for number, shard in enumerate(shards):
        assert await claim(leases, run.id) is None
        await leases.renew(shard, f"job {number}")
        await leases.end(shard, RunState.DONE, "", {"counts": {"tokens": number}})
        assert not await leases.end(shard, RunState.DONE, "", {})
    gathered = await begun(leases, run.id)
    assert [(end.state, end.job) for end in gathered.ends] == [
        (RunState.DONE, f"job {number}") for number in range(12)
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
