"""Promises of pause, resume and cancel, with a real Redis and a real Milvus Lite."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from redis.asyncio import Redis

from contract.errors import UsageError
from contract.ledger.control import Halt
from contract.ledger.jobs import Jobs, JobState
from contract.ledger.records import ClaimState
from contract.queue import make_app, waiting_messages
from contract.settings import Settings
from headrace import control as control_module
from headrace.control import Control, Controlled, open_control
from tests.worker.house import LEASE_SECONDS, House, open_house


@pytest.fixture
async def house(settings: Settings, milvus_lite_uri: str, redis: Redis) -> AsyncIterator[House]:
    """Give an empty collection with an empty ledger."""
    own = settings.model_copy(update={"milvus_uri": milvus_lite_uri})
    async with open_house(own, redis, "controlled") as house:
        yield house


@pytest.fixture
async def control(house: House) -> AsyncIterator[Control]:
    """Give the control of its jobs."""
    async with open_control(house.settings) as control:
        yield control


def state(controlled: Controlled) -> JobState:
    """Judge where a job is now."""
    return controlled.job.state(round(time.time() * 1000))


async def let_go(house: House, batch_id: str, owner: str) -> None:
    """Do what a worker does that heeds halts."""
    while (await house.control.halts([house.job])) == [Halt.NONE]:  # noqa: ASYNC110 - polled
        await asyncio.sleep(0.01)
    await house.ledger.release(batch_id, owner)


async def test_a_pause_puts_everything_aside_until_it_is_over(
    house: House, control: Control
) -> None:
    """What waits and what was in hand is not begun again before the job is resumed."""
    waiting = await house.publish(await house.promise("a", 1))
    in_hand = await house.publish(await house.promise("b", 1))
    await house.ledger.claim(in_hand, "worker:1", LEASE_SECONDS)
    paused, _ = await asyncio.gather(control.pause(house.job), let_go(house, in_hand, "worker:1"))
    assert state(paused) is JobState.PAUSED
    assert paused.held_batches == 0
    for batch_id in (waiting, in_hand):
        assert (await house.ledger.sweep(grace_seconds=0.0)).due == 0
        claim = await house.ledger.claim(batch_id, "worker:2", LEASE_SECONDS)
        assert claim.state is ClaimState.PAUSED
    assert state(await control.pause(house.job)) is JobState.PAUSED, "again: the same"
    assert state(await control.resume(house.job)) is JobState.LISTING
    assert state(await control.resume(house.job)) is JobState.LISTING, "again: the same"
    app = make_app(house.settings)
    assert await asyncio.to_thread(waiting_messages, app) >= 2, "workers are told at once"
    for batch_id in (waiting, in_hand):
        claim = await house.ledger.claim(batch_id, "worker:2", LEASE_SECONDS)
        assert (claim.state, claim.attempts, claim.crashes) == (ClaimState.CLAIMED, 0, 0)


async def test_a_worker_that_does_not_let_go_is_told_of(
    house: House, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a pause nor a cancel waits for ever; the number of batches is told."""
    monkeypatch.setattr(control_module, "WAIT_SECONDS", 0.2)
    batch_id = await house.publish(await house.promise("a", 1))
    await house.ledger.claim(batch_id, "worker:1", LEASE_SECONDS)
    assert (await control.pause(house.job)).held_batches == 1
    cancelled = await control.cancel(house.job)
    assert cancelled.held_batches == 1
    assert cancelled.job.count("documents_cancelled") == 1
    assert await house.control.cancelled_jobs() == []


async def test_a_cancel_leaves_nothing_half_done(house: House, control: Control) -> None:
    """It returns once nothing of the job is left but what was through."""
    done = await house.promise("done", 2)
    await house.commit(done)
    half = await house.promise("half", 3)
    batch_id = await house.publish(half)
    await house.publish(await house.promise("waits", 1))
    await house.ledger.claim(batch_id, "worker:1", LEASE_SECONDS)
    house.write(half)
    cancelled, _ = await asyncio.gather(
        control.cancel(house.job), let_go(house, batch_id, "worker:1")
    )
    assert state(cancelled) is JobState.CANCELLED
    assert cancelled.held_batches == 0
    assert cancelled.job.count("documents_cancelled") == 2
    assert cancelled.job.drained
    assert house.rows() == [("done", done.version)] * 2
    assert (await house.ledger.totals()).batches == 0
    again = await control.cancel(house.job)
    assert again.job.counts == cancelled.job.counts
    for command in (control.pause, control.resume):
        with pytest.raises(UsageError, match="can't be taken back"):
            await command(house.job)


async def test_a_paused_job_can_be_cancelled(house: House, control: Control) -> None:
    """What was put aside is struck off."""
    await house.publish(await house.promise("a", 1))
    await control.pause(house.job)
    cancelled = await control.cancel(house.job)
    assert cancelled.job.count("documents_cancelled") == 1
    assert (await house.ledger.totals()).batches == 0


async def test_what_does_not_exist_or_is_done_is_told(house: House, control: Control) -> None:
    """No job of that name, and none that could still be stopped."""
    job = await Jobs(house.redis, house.collection).create("books")
    await Jobs(house.redis, house.collection).seal(job, {})
    commands: tuple[Callable[[str], Awaitable[Controlled]], ...] = (
        control.pause,
        control.resume,
        control.cancel,
    )
    for command in commands:
        with pytest.raises(UsageError, match="no job 'nowhere'"):
            await command("nowhere")
        with pytest.raises(UsageError, match="is done"):
            await command(job)
