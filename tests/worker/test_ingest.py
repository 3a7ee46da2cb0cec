"""Batches in a worker's hands, from claim to finish."""

import asyncio

import pytest

from contract.errors import (
    CollectionMismatchError,
    EmbeddingDeniedError,
    ThrottledError,
    TransientError,
    UnreachableError,
)
from contract.ledger.control import Halt, JobControl
from contract.ledger.records import ClaimState
from tests.worker.rig import QUICK, Rig
from worker.breaker import Breaker, Dependency
from worker.outcome import Outcome, Stage
from worker.retrier import Retrier


async def test_a_copy_of_a_message_is_dropped(rig: Rig) -> None:
    """Later or at the same time: one of them does the work, and nothing counts twice."""
    batch_id = await rig.shop.order(one="a b")
    outcomes = await asyncio.gather(*(rig.ingest(batch_id) for _ in range(4)))
    assert sorted(outcomes) == [Outcome.DROPPED] * 3 + [Outcome.FINISHED]
    assert await rig.ingest(batch_id) is Outcome.DROPPED
    assert await rig.shop.count("chunks_written") == 2
    assert len(rig.mill.calls) == 1


async def test_two_workers_at_one_batch(rig: Rig) -> None:
    """One that lost its lease after writing, and its successor: the result is there once."""
    batch_id = await rig.shop.order(one="a b c")

    async def lose() -> None:
        await rig.shop.ledger.sweep(silent_owner="w:")
        await rig.make("other:").ingest(rig.shop.collection, batch_id)

    rig.after["upsert"].append(lose)
    await rig.ingest(batch_id)
    assert rig.shop.rows() == {"one": ["a", "b", "c"]}
    assert await rig.shop.finished()
    assert await rig.shop.count("chunks_written") == 3


async def test_a_short_outage_is_waited_out(rig: Rig) -> None:
    """Failures that pass cost attempts, not the batch."""
    rig.mill.failures = [UnreachableError("away"), ThrottledError("slow down", 0.01)]
    ingested = await rig.ingester.ingest(rig.shop.collection, await rig.shop.order(one="a"))
    assert ingested.outcome is Outcome.FINISHED
    assert ingested.retries == {
        (Stage.EMBED, "UnreachableError"): 1,
        (Stage.EMBED, "ThrottledError"): 1,
    }


async def test_a_long_outage_gives_the_batch_back(rig: Rig) -> None:
    """It rests in the ledger, as long as was asked for, and then it is done."""
    batch_id = await rig.shop.order(one="a")
    rig.mill.denial = ThrottledError("slow down", 0.4)
    assert await rig.ingest(batch_id) is Outcome.GIVEN_BACK
    claim = await rig.shop.ledger.claim(batch_id, "early", 1.0)
    assert claim.state is ClaimState.EARLY
    assert (await rig.shop.state()).trouble == "slow down"
    rig.mill.denial = None
    await rig.until_finished(batch_id)
    assert rig.shop.rows() == {"one": ["a"]}


async def test_a_wrong_key_makes_no_dead_letters(rig: Rig) -> None:
    """Batches rest until someone has mended the configuration."""
    batch_id = await rig.shop.order(one="a", two="b")
    rig.mill.denial = EmbeddingDeniedError("wrong key")
    assert await rig.ingest(batch_id) is Outcome.GIVEN_BACK
    assert await rig.shop.letters() == []
    assert not await rig.shop.finished()
    claim = await rig.shop.ledger.claim(batch_id, "early", 1.0)
    assert claim.state is ClaimState.EARLY


async def test_a_batch_that_takes_too_long_is_given_back(rig: Rig) -> None:
    """A call that never ends does not hold a slot for ever."""
    rig.mill.gate.clear()
    slow = rig.make("slow:", timeout=0.3)
    ingested = await slow.ingest(rig.shop.collection, await rig.shop.order(one="a"))
    assert (ingested.outcome, ingested.reason) == (Outcome.GIVEN_BACK, "TimedOutError")


async def test_nothing_is_written_after_the_lease_is_lost(rig: Rig) -> None:
    """A worker that was stopped for long finds its lease over, on its own clock, and stops."""
    batch_id = await rig.shop.order(one="a")
    await rig.stores.get(rig.shop.collection)

    async def sleep_long() -> None:
        rig.seconds += 25.0

    rig.mill.before = sleep_long
    assert await rig.ingest(batch_id) is Outcome.LOST
    assert rig.shop.rows() == {}
    assert not await rig.shop.finished()


async def test_a_batch_taken_away_is_dropped_early(rig: Rig) -> None:
    """Once another worker has the batch, the first one drops it, in the middle of a call."""
    batch_id = await rig.shop.order(one="a")
    rig.mill.gate.clear()
    hasty = rig.make("w:", lease_seconds=0.15)
    first = asyncio.create_task(hasty.ingest(rig.shop.collection, batch_id))
    await rig.mill.entered.wait()
    await rig.shop.ledger.sweep(silent_owner="w:")
    claim = await rig.shop.ledger.claim(batch_id, "other", 30.0)
    assert claim.state is ClaimState.CLAIMED
    assert (await first).outcome is Outcome.LOST
    assert rig.shop.rows() == {}


async def test_a_cancelled_batch_is_given_back_at_once(rig: Rig) -> None:
    """Whoever comes next can claim it, without waiting for a lease to end."""
    batch_id = await rig.shop.order(one="a")
    rig.mill.gate.clear()
    task = asyncio.create_task(rig.ingest(batch_id))
    await rig.mill.entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    rig.mill.gate.set()
    assert await rig.ingest(batch_id) is Outcome.FINISHED
    assert rig.shop.rows() == {"one": ["a"]}


@pytest.mark.parametrize("steps", [2**power for power in range(0, 14, 2)])
async def test_cancelled_anywhere_nothing_is_held(rig: Rig, steps: int) -> None:
    """At whatever await it is cancelled, the batch can be claimed again at once."""
    batch_id = await rig.shop.order(one="a")
    await rig.stores.get(rig.shop.collection)
    task = asyncio.create_task(rig.ingest(batch_id))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    again = await rig.ingest(batch_id)
    assert again is Outcome.FINISHED or await rig.shop.finished()
    assert rig.shop.rows() == {"one": ["a"]}


async def test_a_dropped_collection_is_opened_anew(rig: Rig) -> None:
    """The batch rests a moment, and its next attempt makes the collection and writes."""
    await rig.ingest(await rig.shop.order(one="a"))
    rig.shop.client.drop_collection(f"{rig.shop.collection}_1")
    batch_id = await rig.shop.order(two="b")
    assert await rig.ingest(batch_id) is Outcome.GIVEN_BACK
    await rig.until_finished(batch_id)
    assert rig.shop.rows() == {"two": ["b"]}


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        (TransientError("500"), 1),
        (UnreachableError("away"), 1),
        (ThrottledError("slow down"), 0),
        (CollectionMismatchError("another model"), 0),
    ],
)
async def test_what_counts_as_a_failed_attempt(rig: Rig, error: Exception, failed: int) -> None:
    """Only what may be the batch's own fault: that is counted, and its first error kept."""
    batch_id = await rig.shop.order(one="a")

    async def fail() -> None:
        raise error

    rig.before["upsert"] += [fail] * 3
    assert await rig.ingest(batch_id) is Outcome.GIVEN_BACK
    assert await rig.attempts(batch_id) == failed
    first = await rig.shop.redis.hget(rig.shop.ledger.keys.batch(batch_id), "first_error")
    assert first == (str(error).encode() if failed else None)


async def test_a_store_that_can_not_be_opened_is_no_fault_of_the_batch(rig: Rig) -> None:
    """However often that fails, no attempt counts, and no text is embedded for it."""
    await rig.ingest(await rig.shop.order(one="a"))
    batch_id = await rig.shop.order(two="b")
    rig.mill.calls.clear()
    rig.opening_error = UnreachableError("away")
    assert await rig.ingest(batch_id) is Outcome.GIVEN_BACK
    assert await rig.attempts(batch_id) == 0
    assert rig.mill.calls == []


async def test_an_error_that_nobody_thought_of_is_tried_again(rig: Rig) -> None:
    """It counts as a failed attempt, and what it said, which may be anything, is not kept."""
    batch_id = await rig.shop.order(one="a")

    async def fail() -> None:
        raise ValueError("with a secret")

    rig.before["upsert"] += [fail] * 3
    assert await rig.ingest(batch_id) is Outcome.GIVEN_BACK
    assert (await rig.shop.state()).trouble == "write failed: ValueError"
    await rig.until_finished(batch_id)
    assert rig.shop.rows() == {"one": ["a"]}


@pytest.mark.parametrize("payload", [b"HRB\x63newer", b"HRB\x01broken", b"", b"x"])
async def test_a_batch_that_can_not_be_read_is_left_to_others(rig: Rig, payload: bytes) -> None:
    """It rests, its job says why, and no attempt counts; the worker goes on."""
    batch_id = await rig.shop.order(one="a")
    await rig.shop.redis.hset(rig.shop.ledger.keys.batch(batch_id), "payload", payload)
    ingested = await rig.ingester.ingest(rig.shop.collection, batch_id)
    assert (ingested.outcome, ingested.reason) == (Outcome.GIVEN_BACK, "BatchDecodeError")
    assert "can't be read" in (await rig.shop.state()).trouble
    assert await rig.attempts(batch_id) == 0
    claim = await rig.shop.ledger.claim(batch_id, "early", 1.0)
    assert claim.state is ClaimState.EARLY


@pytest.mark.parametrize("halt", [Halt.PAUSED, Halt.CANCELLED])
async def test_batches_of_a_halted_job_are_let_go(rig: Rig, halt: Halt) -> None:
    """They end at once, count as no failure, and are parked or struck off; others go on."""
    halted = await rig.shop.order(one="a")
    job, rig.shop.job = rig.shop.job, ""
    other = await rig.shop.order(two="b")
    rig.mill.gate.clear()
    working = [
        asyncio.create_task(rig.ingester.ingest(rig.shop.collection, batch_id))
        for batch_id in (halted, other)
    ]
    both = {(rig.shop.collection, job), (rig.shop.collection, rig.shop.job)}
    await rig.until(lambda: rig.ingester.jobs_in_flight() == both and len(rig.mill.calls) == 2)
    control = JobControl(rig.shop.redis, rig.shop.collection)
    await control.halt(job, halt)
    rig.ingester.cancel(rig.shop.collection, job)
    rig.ingester.cancel(rig.shop.collection, job)
    ingested = await working[0]
    assert (ingested.outcome, ingested.reason) == (Outcome.DROPPED, "halted")
    assert rig.ingester.jobs_in_flight() == {(rig.shop.collection, rig.shop.job)}
    rig.mill.gate.set()
    assert (await working[1]).outcome is Outcome.FINISHED
    assert rig.shop.rows() == {"two": ["b"]}
    assert await rig.shop.finished() == (halt is Halt.CANCELLED)
    if halt is Halt.PAUSED:
        assert await rig.attempts(halted) == 0
        await control.halt(job, Halt.NONE)
        assert await rig.ingest(halted) is Outcome.FINISHED


async def test_a_job_that_goes_on_at_once_loses_nothing(rig: Rig) -> None:
    """Paused and resumed before the worker let go: the batch waits to be claimed again."""
    batch_id = await rig.shop.order(one="a")
    rig.mill.gate.clear()
    working = asyncio.create_task(rig.ingest(batch_id))
    await rig.mill.entered.wait()
    rig.ingester.cancel(rig.shop.collection, rig.shop.job)
    assert await working is Outcome.DROPPED
    rig.mill.gate.set()
    assert await rig.ingest(batch_id) is Outcome.FINISHED


async def test_nothing_is_claimed_during_an_outage(rig: Rig) -> None:
    """A batch waits in the ledger, free for others, until the server is back."""
    batch_id = await rig.shop.order(one="a")
    is_there = asyncio.Event()

    async def probe() -> None:
        if not is_there.is_set():
            raise UnreachableError("away")

    breaker = Breaker(Dependency.MILVUS, probe)
    rig.retrier = Retrier(QUICK, {Dependency.MILVUS: breaker})
    assert not await breaker.is_healthy()
    working = asyncio.create_task(rig.make("w:").ingest(rig.shop.collection, batch_id))
    await asyncio.wait([working], timeout=0.1)
    claim = await rig.shop.ledger.claim(batch_id, "other", 1.0)
    assert claim.state is ClaimState.CLAIMED
    await rig.shop.ledger.release(batch_id, "other")
    is_there.set()
    assert (await working).outcome is Outcome.FINISHED
    await breaker.aclose()
