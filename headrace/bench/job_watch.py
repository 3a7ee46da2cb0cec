"""Watches an import from outside: the job's counters in Redis, the CPU of its processes."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from redis.asyncio import Redis

from contract.ledger.jobs import Job, Jobs
from contract.names import Keys
from headrace.bench.cpu import Family, Meter
from headrace.bench.figures import Mark

POLL_SECONDS = 0.05
WORKER_MARKER = "worker.app"
"""An argument of a worker's command line."""


@dataclass(slots=True)
class Seen:
    """What was seen of a job, on this process's monotonic clock.

    The command's CPU counts from when its job exists, that of a worker from when the first
    batch is claimed: what they used before is their start-up.

    Attributes:
        marks: the readings at which more chunks were written than before.
        command: CPU of the command, and of children that are no workers.
        workers: CPU of the worker processes.
    """

    marks: list[Mark] = field(default_factory=list)
    command: Meter = field(default_factory=Meter)
    workers: Meter = field(default_factory=Meter)


class JobWatch:
    """Reads the newest job of a collection again and again until it is through."""

    def __init__(
        self,
        redis: Redis,
        collection: str,
        command_pid: int,
        other_workers: Callable[[], Sequence[int]],
    ) -> None:
        """Watch nothing yet.

        Args:
            redis: a client that the caller closes.
            collection: a collection without any job so far.
            command_pid: the process of the command.
            other_workers: gives worker processes that are not the command's children.
        """
        self.seen = Seen()
        self._jobs = Jobs(redis, collection)
        self._redis = redis
        self._leased = Keys(collection).leased
        self._command_pid = command_pid
        self._children = Family(command_pid, WORKER_MARKER)
        self._other_workers = other_workers
        self._working = False

    async def run(self) -> None:
        """Watch until all is written; cancel it if the command fails before that."""
        while True:
            latest = await self._jobs.latest(1)
            if latest and await self._look(latest[0]):
                return
            await asyncio.sleep(POLL_SECONDS)

    async def _look(self, job: Job) -> bool:
        """Take readings; tell whether it was the last."""
        seen, now_seconds = self.seen, time.monotonic()
        mark = Mark(now_seconds, job.count("chunks_written"))
        if not self._working:
            self._working = mark.chunks > 0 or await self._redis.zcard(self._leased) > 0
        self._children.look(now_seconds)
        seen.command.read([self._command_pid, *self._children.others])
        if self._working:
            seen.workers.read([*self._other_workers(), *self._children.marked])
        if mark.chunks > (seen.marks[-1].chunks if seen.marks else 0):
            seen.marks.append(mark)
        return job.sealed and job.drained
