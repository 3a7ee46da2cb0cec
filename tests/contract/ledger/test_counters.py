"""Promises of the counters by source, and of dead letters by reason."""

import msgspec
import pytest
from redis.asyncio import Redis

from contract.ledger.counters import BEGUN, COMPLETED, Counters
from contract.ledger.jobs import KEPT_JOBS, Jobs
from contract.ledger.sources import Sources
from tests.contract.ledger.shelf import Shelf
from tests.contract.ledger.worker_model import letter
from tests.contract.ledger.world import SOURCE


async def counters(shelf: Shelf, source: str = SOURCE) -> dict[str, int]:
    """Give the counters of a source, without times."""
    found = (await Counters(shelf.redis, "books").by_source()).get(source, {})
    return {name: n for name, n in found.items() if not name.endswith("_ms")}


async def letters(shelf: Shelf) -> tuple[dict[str, int], dict[str, int]]:
    """Count dead letters, by reason: those that there are, those that were written."""
    counts = await shelf.ledger.letters.counts()
    assert sum(counts.now.values()) == await shelf.ledger.letters.count()
    return {r: n for r, n in counts.now.items() if n}, dict(counts.written)


async def test_a_source_counts_what_its_jobs_count_and_forgets_nothing(shelf: Shelf) -> None:
    """Jobs are forgotten, and so is the source; what they counted stays."""
    await shelf.commit("good")
    await shelf.commit("better")
    gone = await shelf.commit("gone")
    expected = {
        "documents_new": 1, "documents_changed": 1, "documents_deleted": 1,
        "documents_committed": 3, "documents_removed": 1, "chunks": 7, "chunks_written": 7,
    }  # fmt: skip
    assert await counters(shelf) == expected
    assert (await shelf.job(gone)).count("documents_removed") == 1
    names = [job.id for job in await shelf.jobs.latest(KEPT_JOBS)]
    await shelf.redis.delete(*map(shelf.ledger.keys.job, names), shelf.ledger.keys.jobs)
    assert await Sources(shelf.redis, "books").forget(SOURCE)
    assert await counters(shelf) == expected


async def test_a_forgotten_job_counts_for_its_source_only(shelf: Shelf) -> None:
    """Nothing of the job comes back; the source is known by its documents."""
    registered, batches = await shelf.promise("good")
    await shelf.redis.delete(shelf.ledger.keys.job(registered.job))
    await shelf.ingest(*batches)
    assert (await counters(shelf))["documents_committed"] == 1
    assert not await shelf.redis.exists(shelf.ledger.keys.job(registered.job))


async def test_a_report_counts_by_what_it_rises(shelf: Shelf) -> None:
    """Sent twice, or overtaken by a later one, it changes nothing; each job adds its own."""
    jobs, job = shelf.jobs, await shelf.jobs.create(SOURCE)
    early, late = {"documents_listed": 5, "source_bytes": 50}, {"documents_listed": 9}
    for counts in (early, early, late, early):
        await jobs.report(job, counts)
    await jobs.seal(job, {**late, "documents_unchanged": 0})
    assert await counters(shelf) == {"documents_listed": 9, "source_bytes": 50}
    found = await jobs.get(job)
    assert found is not None
    assert dict(found.counts) == {
        "documents_listed": 9, "source_bytes": 50, "documents_unchanged": 0
    }  # fmt: skip
    await jobs.report(await jobs.create(SOURCE), early)
    assert await counters(shelf) == {"documents_listed": 14, "source_bytes": 100}


async def test_a_report_of_a_forgotten_job_is_dropped(redis: Redis) -> None:
    """What is written then would be kept for ever."""
    jobs = Jobs(redis, "books")
    await jobs.report("unknown", {"documents_listed": 1})
    assert await redis.keys("*") == []


async def test_since_when_a_source_is_known_and_was_last_complete(shelf: Shelf) -> None:
    """The first job counts, and the last complete listing."""
    await shelf.jobs.create(SOURCE)
    first = (await Counters(shelf.redis, "books").by_source())[SOURCE]
    assert COMPLETED not in first
    await shelf.jobs.create(SOURCE)
    await shelf.jobs.mark_complete(SOURCE)
    after = (await Counters(shelf.redis, "books").by_source())[SOURCE]
    assert after[BEGUN] == first[BEGUN] <= after[COMPLETED]


async def test_a_letter_counts_until_its_document_is_well(shelf: Shelf) -> None:
    """The commit of the next version takes the letter away; that it was written stays."""
    await shelf.commit("poisoned")
    assert await letters(shelf) == ({"refused": 1}, {"refused": 1})
    await shelf.commit("better")
    assert await letters(shelf) == ({}, {"refused": 1})


async def test_a_letter_that_is_found_again_is_no_new_one(shelf: Shelf) -> None:
    """Each listing finds again what can't be read; another reason is news."""
    bury = shelf.ledger.letters.bury
    first = letter("d0", at_ms=1)
    other = msgspec.structs.replace(first, at_ms=3, reason="too_big")
    await bury([first])
    await bury([first, msgspec.structs.replace(first, at_ms=2)])
    assert await letters(shelf) == ({"refused": 1}, {"refused": 1})
    await bury([other])
    assert await letters(shelf) == ({"too_big": 1}, {"refused": 1, "too_big": 1})
    await bury([letter("d1")])
    assert await shelf.ledger.letters.purge([other, other, first]) == 1
    assert (await letters(shelf))[0] == {"refused": 1}
    await shelf.ledger.letters.purge([letter("d1")])
    await bury([first])
    assert await letters(shelf) == ({"refused": 1}, {"refused": 3, "too_big": 1})


async def test_letters_of_an_older_release_are_not_counted_below_nothing(shelf: Shelf) -> None:
    """They have no reason beside them; their going takes nothing away."""
    await shelf.ledger.letters.bury([letter("d0")])
    keys = shelf.ledger.keys
    await shelf.redis.delete(keys.dead_counts, f"{keys.dead}:reasons")
    await shelf.ledger.letters.purge([letter("d0")])
    assert await letters(shelf) == ({}, {})


@pytest.mark.parametrize("times", [1, 3])
async def test_repeated_steps_count_once(shelf: Shelf, times: int) -> None:
    """A caller that got no answer asks again."""
    registered = await shelf.register("good")
    for _ in range(times - 1):
        await shelf.register("good", job=registered.job)
    batches = await shelf.publish(registered, "good")
    for batch in batches:
        worker = shelf.worker(batch)
        worker.calls = times
        await worker.run()
    found = await counters(shelf)
    assert (found["documents_new"], found["documents_committed"], found["chunks"]) == (1, 1, 3)
