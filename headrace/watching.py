"""Watching jobs: until all that they promised is through, also through outages of Redis."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from redis.asyncio import Redis

from contract.errors import CancelledJobError, GuardError, TransientError
from contract.ledger.control import Halt
from contract.ledger.jobs import Job, Jobs
from contract.presence import present_workers
from contract.settings import address
from contract.tasks import end
from headrace.progress import Progress, ProgressMeter
from headrace.session import Session, has_ended, require_servers
from headrace.workforce import Workforce
from producers.tally import Tally

POLL_SECONDS = 0.25
LOOK_SECONDS = 2.0
"""Between two looks at whether embedded servers still run."""
TOLD_SECONDS = 60.0
"""Between two lines about an outage of Redis that comes and goes."""
NO_WORKER_HINT_SECONDS = 10.0

T = TypeVar("T")


class Watch:
    """Follows the jobs of one command in one collection, and lends it workers."""

    def __init__(
        self,
        redis: Redis,
        session: Session,
        collection: str,
        workforce: Workforce,
        *,
        on_progress: Callable[[Progress], None],
        say: Callable[[str], None],
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            redis: a patient client, which the caller closes.
            session: the servers.
            collection: where the jobs are.
            workforce: is started when something waits for workers; the caller stops it.
            on_progress: told several times a second how far it is.
            say: takes lines for a person.
        """
        self._redis = redis
        self._session = session
        self._collection = collection
        self._workforce = workforce
        self._on_progress = on_progress
        self._say = say

    async def patiently(self, call: Coroutine[Any, Any, T]) -> T:
        """Wait for a call to Redis, for as long as its client is patient.

        Raises:
            UnreachableError: an embedded server has ended: nothing would bring it back.
        """
        task: asyncio.Task[Any] = asyncio.ensure_future(call)
        try:
            while not (await asyncio.wait([task], timeout=LOOK_SECONDS))[0]:
                require_servers(self._session)
        finally:
            await end(task)
        result: T = task.result()
        return result

    async def follow(
        self, job: str, tally: Tally, production: asyncio.Task[None], *, detach: bool
    ) -> list[Job]:
        """Wait until a job and those that it waits for are through.

        Args:
            job: the job.
            tally: what its producer sees; names the jobs that it waits for.
            production: the producer's run.
            detach: wait for the producer alone.

        Returns:
            The job, and after it those that it waited for.

        Raises:
            CancelledJobError: one of them was cancelled from elsewhere.
            GuardError: the producer's; only once everything else is through.
            TransientError: Redis has forgotten the job.
        """
        meter = ProgressMeter()
        hinted = looked = time.monotonic()
        paused: str | None = None
        while True:
            jobs = await self.patiently(self._jobs(job, tally))
            self._on_progress(meter.measure(jobs, time.monotonic()))
            _refuse_cancelled(jobs[0])
            if production.done():
                guard = _guard(production)
                if detach or (jobs[0].sealed and all(item.drained for item in jobs)):
                    return _through(jobs, guard)
            paused = self._tell_of_pause(jobs, paused)
            if paused is None and not detach and not all(item.drained for item in jobs):
                self._workforce.start()
            self._workforce.raise_failure()
            if time.monotonic() - looked > LOOK_SECONDS:
                looked = time.monotonic()
                require_servers(self._session)
            if time.monotonic() - hinted > NO_WORKER_HINT_SECONDS:
                hinted = time.monotonic()
                await self._hint_at_workers()
            await asyncio.wait([production], timeout=POLL_SECONDS)
            if production.done():
                await asyncio.sleep(POLL_SECONDS)

    def _tell_of_pause(self, jobs: list[Job], told: str | None) -> str | None:
        """Name the job that is paused, if there is one; a person hears of each once."""
        paused = next((item.id for item in jobs if item.halt == Halt.PAUSED), None)
        if paused is not None and paused != told:
            self._say(f"job {paused} is paused; `headrace jobs resume {paused}` lets it go on")
        return paused

    async def _jobs(self, job: str, tally: Tally) -> list[Job]:
        """Read the job, and after it those it waits for: once it is sealed, these are all."""
        jobs = Jobs(self._redis, self._collection)
        own = await jobs.get(job)
        if own is None:
            raise forgotten("all")
        found = [await jobs.get(name) for name in sorted(tally.awaited_jobs)]
        return [own, *(item for item in found if item is not None)]

    async def _hint_at_workers(self) -> None:
        if not self._session.is_local and not await self.patiently(present_workers(self._redis)):
            self._say("no worker is running; start one with: headrace worker")


def outage_teller(session: Session, say: Callable[[str], None]) -> Callable[[str], None]:
    """Make what a patient client tells of its troubles; a person hears of an outage once.

    Of an embedded server that has ended the watch tells: nobody waits for that.
    """
    told_at = -TOLD_SECONDS

    def tell(trouble: str) -> None:
        nonlocal told_at
        if not trouble or time.monotonic() - told_at < TOLD_SECONDS or has_ended(session):
            return
        told_at = time.monotonic()
        settings = session.settings
        where = address(settings.redis_url) if settings.redis_url else "?"
        seconds = settings.outage_patience_seconds
        say(f"Redis at {where} does not answer; waiting (up to {seconds:g} s): {trouble}")

    return tell


def _guard(production: asyncio.Task[None]) -> GuardError | None:
    """Give the guard that has tripped, if one has; any other error is raised at once."""
    try:
        production.result()
    except GuardError as guard:
        return guard
    return None


def _refuse_cancelled(own: Job) -> None:
    if own.halt == Halt.CANCELLED:
        raise CancelledJobError(
            f"job {own.id} was cancelled from elsewhere; documents that were not through keep "
            "the version before. To begin again, run the same command again"
        )


def _through(jobs: list[Job], guard: GuardError | None) -> list[Job]:
    """Give the jobs, unless something is to be told of first."""
    if guard is not None:
        raise guard
    for item in jobs[1:]:
        if item.halt == Halt.CANCELLED:
            raise CancelledJobError(
                f"job {item.id}, which had begun some of these documents, was cancelled; run "
                "the same command again"
            )
    return jobs


def forgotten(documents: str) -> TransientError:
    """Refuse to call a command done of which Redis lost a part, as at a power cut.

    Its append-only file is written to disk once a second; what came after is gone with the
    machine, counters and all, so that nothing seems to be missing.
    """
    return TransientError(
        f"Redis has forgotten {documents} documents of this command (was it restarted from an "
        "older state?); run the same command again"
    )
