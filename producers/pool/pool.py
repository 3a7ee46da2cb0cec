"""The pool: drafts documents in a thread, and in processes once there is enough to do."""

import asyncio
import logging
import os
import pickle
import sys
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from types import FunctionType, TracebackType
from typing import Final, Self

from contract.errors import TransientError
from contract.tasks import end
from producers.drafting import Assignment, Recipe
from producers.pool.desk import Desk, Drafted
from producers.pool.process import Commission

BUSY_SECONDS: Final = 0.5
"""So long a thread drafts before processes are started: about the CPU that starting one takes."""
LIMIT_SECONDS: Final = 60.0
BYTES_PER_SECOND: Final = 50_000.0
"""The worst text that we know takes a fifth of that time."""

logger = logging.getLogger(__name__)


def cores() -> int:
    """Count the cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class _Job:
    assignments: Sequence[Assignment]
    drafted: "asyncio.Future[Drafted]"


class Pool:
    """Drafts documents of one source, as many at a time as it has processes.

    A thread of this process drafts until it was busy for a while; then processes are started,
    and it stops once one of them is ready: what is unchanged, or little, does not pay for
    starting them. They are used only where the source's ``parse`` is a function that another
    process can import, and else the thread does all.

    A process that ends over a document (killed, out of memory, or by the kernel because the
    document's time is up) is replaced by one that begins with that document. When that ends
    too, the document is left out, with the reason; the others are drafted.

    Attributes:
        processes: how many there are once they are started; 1: the thread does all.
    """

    def __init__(
        self,
        recipe: Recipe,
        processes: int,
        *,
        busy_seconds: float = BUSY_SECONDS,
        limit_seconds: float = LIMIT_SECONDS,
    ) -> None:
        """Prepare; nothing is started before ``draft`` is called.

        Args:
            recipe: how to draft.
            processes: how many; 1: a thread of this process alone.
            busy_seconds: of the thread, before processes are started.
            limit_seconds: for one document; one of many bytes gets more.
        """
        self.processes = processes if _is_importable(recipe) else 1
        self._recipe = recipe
        self._busy_seconds = busy_seconds
        self._commission = Commission(recipe, limit_seconds, BYTES_PER_SECOND)
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()
        self._hands: list[asyncio.Task[None]] = []
        self._is_up = False

    async def __aenter__(self) -> Self:
        """Close at the end of the block."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all processes at once."""
        for hand in self._hands:
            hand.cancel()
        for hand in self._hands:
            await end(hand)

    async def draft(self, assignments: Sequence[Assignment]) -> Drafted:
        """Parse and split some documents, one after the other, in one thread or process.

        Returns:
            For each a draft, or why it is left out.

        Raises:
            TransientError: a process has ended, and no other can be started.
        """
        if not self._hands:
            self._hands.append(asyncio.create_task(self._draft_in_thread()))
        job = _Job(assignments, asyncio.get_running_loop().create_future())
        self._jobs.put_nowait(job)
        return await job.drafted

    async def _draft_in_thread(self) -> None:
        busy = 0.0
        while not self._is_up:
            job = await self._next()
            if self._is_up:
                self._jobs.put_nowait(job)  # A process that hangs in it can be ended.
                return
            begun = time.monotonic()
            await _settle(job, asyncio.to_thread(self._draft_here, job.assignments))
            busy += time.monotonic() - begun
            if busy >= self._busy_seconds and len(self._hands) == 1 < self.processes:
                places = range(self.processes)
                self._hands += [asyncio.create_task(self._draft_in_process()) for _ in places]

    def _draft_here(self, assignments: Sequence[Assignment]) -> Drafted:
        return [self._recipe.draft(assignment) for assignment in assignments]

    async def _draft_in_process(self) -> None:
        desk = Desk(self._commission)
        try:
            await desk.occupy()
            self._is_up = True
            while True:
                job = await self._next()
                await _settle(job, desk.draft(job.assignments))
        except TransientError as error:
            # The thread does it all, or the other processes do.
            logger.warning("no process", extra={"event": "pool_failed", "error": str(error)})
        finally:
            desk.vacate()

    async def _next(self) -> _Job:
        """Wait for a job whose result someone still waits for."""
        while (job := await self._jobs.get()).drafted.done():
            pass
        return job


async def _settle(job: _Job, drafting: Awaitable[Drafted]) -> None:
    """Hand the outcome of a job to who waits for it, if someone still does."""
    try:
        drafted = await drafting
    except asyncio.CancelledError:
        job.drafted.cancel()
        raise
    except Exception as error:  # noqa: BLE001 - is raised where the job was given
        if not job.drafted.done():
            job.drafted.set_exception(error)
    else:
        if not job.drafted.done():
            job.drafted.set_result(drafted)


def _is_importable(recipe: Recipe) -> bool:
    """Tell whether another process can have the source's ``parse``, by its name alone.

    An object could be copied there as well. But what it weighs, and whether a copy of it does
    what it does itself, only its author knows.
    """
    parse = recipe.parse
    if not isinstance(parse, FunctionType) or parse.__module__ == "__main__":
        return False
    try:
        pickle.dumps(parse)
    except (pickle.PicklingError, AttributeError):
        return False
    return True
