"""The pulse of a producer: says that it lives, and learns whether its job is to go on."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Final, NoReturn

from redis.exceptions import RedisError

from contract.errors import CancelledJobError
from contract.ledger.control import Halt, JobControl
from contract.ledger.jobs import Jobs
from contract.log_context import bound
from contract.tasks import end
from contract.tracing import begun_trace

BEAT_SECONDS: Final = 1.0


class Pulse:
    """Reports a job's counters about once a second, and holds its producer while it is paused."""

    def __init__(
        self,
        jobs: Jobs,
        job: str,
        counters: Callable[[], Mapping[str, int]],
        now: Callable[[], float],
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            jobs: of the collection.
            job: whose pulse it is.
            counters: gives the producer's own counters.
            now: a clock that does not jump, in seconds.
        """
        self._jobs = jobs
        self._control = JobControl(jobs.redis, jobs.collection)
        self._job = job
        self._counters = counters
        self._now = now
        self._beaten = now() - BEAT_SECONDS
        self._going = asyncio.Event()
        self._going.set()

    async def going(self) -> None:
        """Wait while the job is paused; for a producer beside which ``keep_beating`` runs."""
        await self._going.wait()

    async def beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Beat until some work is done.

        Raises:
            CancelledJobError: someone cancelled the job; the work is cancelled.
        """
        job, collection = self._job, self._jobs.collection
        with (
            bound(job=job, collection=collection),
            begun_trace("job", job=job, collection=collection),
        ):
            beating = asyncio.create_task(self.keep_beating())
            working = asyncio.create_task(work)
            try:
                await asyncio.wait([beating, working], return_when=asyncio.FIRST_COMPLETED)
                if not working.done():
                    await beating  # it ends by an error alone
                await working
            finally:
                await end(working)
                await end(beating)

    async def keep_beating(self) -> NoReturn:
        """Beat until cancelled, also through outages: the producer's own steps tell of these.

        Raises:
            CancelledJobError: someone cancelled the job.
        """
        while True:
            with suppress(RedisError):
                await self.beat()
            await asyncio.sleep(BEAT_SECONDS)

    async def catch_up(self) -> None:
        """Beat if it is time to, and wait while the job is paused; for one who beats by hand.

        Raises:
            CancelledJobError: someone cancelled the job.
        """
        if self._now() - self._beaten < BEAT_SECONDS:
            return
        await self.beat()
        while not self._going.is_set():
            await asyncio.sleep(BEAT_SECONDS)
            await self.beat()

    async def beat(self) -> None:
        """Report, and learn whether to go on.

        Raises:
            CancelledJobError: someone cancelled the job.
        """
        self._beaten = self._now()
        await self._jobs.report(self._job, self._counters())
        (halt,) = await self._control.halts([self._job])
        if halt is Halt.CANCELLED:
            raise CancelledJobError(
                f"job {self._job} was cancelled; documents that were not through keep the "
                "version before. The same command brings them again"
            )
        if halt is Halt.PAUSED:
            self._going.clear()
        else:
            self._going.set()
