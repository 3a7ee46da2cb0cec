"""Promises of a producer's pulse, with a real Redis."""

import asyncio
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from contract.errors import CancelledJobError
from contract.ledger.control import Halt, JobControl
from contract.ledger.jobs import Jobs
from contract.tasks import end
from producers import pulse as pulse_module
from producers.pulse import Pulse

DEADLINE_SECONDS = 10.0


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse_module, "BEAT_SECONDS", 0.01)


async def _beating(redis: Redis) -> tuple[Pulse, JobControl, str]:
    jobs = Jobs(redis, "books")
    job = await jobs.create("docs")
    clock = asyncio.get_running_loop().time
    return Pulse(jobs, job, lambda: {"documents_listed": 3}, clock), JobControl(redis, "books"), job


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not holds():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


async def test_it_reports_and_holds_while_paused(redis: Redis) -> None:
    """While its job is paused a producer waits, and still says that it lives."""
    pulse, control, job = await _beating(redis)
    beating = asyncio.create_task(pulse.keep_beating())
    await pulse.going()
    await control.halt(job, Halt.PAUSED)
    await _until(lambda: not pulse._going.is_set())
    waiting = asyncio.create_task(pulse.going())
    await redis.hset(control.keys.job(job), "documents_listed", 0)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while await redis.hget(control.keys.job(job), "documents_listed") != b"3":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert not waiting.done()
    await control.halt(job, Halt.NONE)
    await asyncio.wait_for(waiting, DEADLINE_SECONDS)
    await end(beating)


async def test_a_cancelled_job_ends_it(redis: Redis) -> None:
    """The beating itself raises, so that whoever waits for it learns of it."""
    pulse, control, job = await _beating(redis)
    beating = asyncio.create_task(pulse.keep_beating())
    await control.halt(job, Halt.CANCELLED)
    with pytest.raises(CancelledJobError, match=job):
        await asyncio.wait_for(beating, DEADLINE_SECONDS)


async def test_beaten_by_hand(redis: Redis) -> None:
    """One that nothing runs beside reports, waits and is cancelled in its own steps."""
    pulse, control, job = await _beating(redis)
    await pulse.catch_up()
    assert await redis.hget(control.keys.job(job), "documents_listed") == b"3"
    await control.halt(job, Halt.PAUSED)
    await asyncio.sleep(0.02)
    held = asyncio.create_task(pulse.catch_up())
    await _until(lambda: not pulse._going.is_set())
    assert not held.done()
    await control.halt(job, Halt.CANCELLED)
    with pytest.raises(CancelledJobError):
        await asyncio.wait_for(held, DEADLINE_SECONDS)
