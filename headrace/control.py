"""Pausing, resuming and cancelling a job from another process."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from contract.errors import UsageError
from contract.ledger.connection import check, connect, translated
from contract.ledger.control import Halt, JobControl
from contract.ledger.jobs import Job, Jobs, JobState, find_job
from contract.ledger.sweeper import sweep_once
from contract.ledger.unfinished import unfinished_batches
from contract.queue import make_app
from contract.settings import Settings
from worker.eraser import Erasers
from worker.janitor import Janitor
from worker.milvus import quiet_libraries

WAIT_SECONDS = 5.0
"""How long to wait for workers to let go of a job; they look every half second."""
POLL_SECONDS = 0.05

_COMMANDS = {Halt.NONE: "resume", Halt.PAUSED: "pause", Halt.CANCELLED: "cancel"}


@dataclass(frozen=True, slots=True)
class Controlled:
    """A job after a command was given to it."""

    job: Job
    held_batches: int = 0
    """Batches of it that workers hold still."""


class Control:
    """Gives commands to running jobs; each may be repeated, by anyone, at any time."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        """Use a client that the caller closes."""
        self._redis = redis
        self._settings = settings

    async def pause(self, job_id: str) -> Controlled:
        """Let nobody begin a batch of a job, and wait until those in flight are given back.

        Raises:
            UsageError: there is no such job, or it is cancelled or done.
        """
        job, control = await self._found(job_id, Halt.PAUSED)
        await self._halt(control, job, Halt.PAUSED)
        held = await self._wait(job)
        if await control.halts([job.id]) == [Halt.PAUSED]:
            await control.halt(job.id, Halt.PAUSED)  # puts aside what was given back as well
        return Controlled(await self._again(job), held)

    async def resume(self, job_id: str) -> Controlled:
        """Let a paused job go on.

        Raises:
            UsageError: there is no such job, or it is cancelled or done.
        """
        job, control = await self._found(job_id, Halt.NONE)
        await self._halt(control, job, Halt.NONE)
        await sweep_once(self._redis, make_app(self._settings))
        return Controlled(await self._again(job))

    async def cancel(self, job_id: str) -> Controlled:
        """End a job, and clear up what is half done: those documents keep the version before.

        Killed in the middle, the workers and schedulers clear up instead.

        Raises:
            UsageError: there is no such job, or it is done.
            TransientError: Milvus does not answer; workers and schedulers will clear up.
        """
        job, control = await self._found(job_id, Halt.CANCELLED)
        await self._halt(control, job, Halt.CANCELLED)
        await clear_up(self._redis, self._settings, job.collection, job.id)
        return Controlled(await self._again(job), await self._held(job))

    async def _found(self, job_id: str, halt: Halt) -> tuple[Job, JobControl]:
        job = await find_job(self._redis, job_id)
        if job is None:
            raise UsageError(f"there is no job {job_id!r}; `headrace jobs list` names them")
        if job.state(round(time.time() * 1000)) is JobState.DONE:
            raise UsageError(f"job {job.id} is done; there is nothing to {_COMMANDS[halt]}")
        control = JobControl(
            self._redis, job.collection, quarantine_seconds=self._settings.quarantine_seconds
        )
        return job, control

    async def _halt(self, control: JobControl, job: Job, halt: Halt) -> None:
        if not await control.halt(job.id, halt):
            await self._found(job.id, halt)  # it may have been done just now
            raise UsageError(
                f"job {job.id} is cancelled, which can't be taken back; to begin again, run the "
                "same import again"
            )

    async def _wait(self, job: Job) -> int:
        """Wait until workers have let go; gives the number of batches that they still hold."""
        deadline = time.monotonic() + WAIT_SECONDS
        while held := await self._held(job):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(POLL_SECONDS)
        return held

    async def _held(self, job: Job) -> int:
        return len((await unfinished_batches(self._redis, job.collection, job.id)).leased)

    async def _again(self, job: Job) -> Job:
        """Read the job anew; one that was forgotten meanwhile stays as it was."""
        return await Jobs(self._redis, job.collection).get(job.id) or job


async def clear_up(
    redis: Redis, settings: Settings, collection: str, job: str | None = None
) -> None:
    """Give up what cancelled jobs had promised, and wait until that is done.

    Args:
        redis: a client that the caller closes.
        settings: where Milvus is.
        collection: its jobs.
        job: one of them; all when None.

    Raises:
        TransientError: Milvus does not answer; others, or another try, go on from there.
    """
    control = JobControl(redis, collection, quarantine_seconds=settings.quarantine_seconds)
    erasers = Erasers(settings)
    janitor = Janitor(
        redis, erasers.get, settings.quarantine_seconds, patience_seconds=WAIT_SECONDS
    )
    try:
        while jobs := [name for name in await control.cancelled_jobs() if job in {None, name}]:
            if not sum([await janitor.clear_job(collection, name) for name in jobs]):
                await asyncio.sleep(POLL_SECONDS)
    finally:
        await erasers.close()


@asynccontextmanager
async def open_control(settings: Settings) -> AsyncIterator[Control]:
    """Connect to the ledger for as long as the block lasts.

    Raises:
        UnreachableError: Redis does not answer.
    """
    quiet_libraries()
    async with AsyncExitStack() as stack:
        redis = connect(settings)
        stack.push_async_callback(redis.aclose)
        await check(redis, settings)
        stack.enter_context(translated(settings))
        yield Control(redis, settings)
