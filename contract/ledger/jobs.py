"""Jobs: what one command or one scheduled run has to do, in counters that people watch."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from redis.asyncio import Redis

from contract.ledger.connection import text
from contract.ledger.counters import BEGUN, COMPLETED
from contract.ledger.scripts import script
from contract.names import COLLECTIONS_KEY, Keys, counter_field

KEPT_JOBS = 1_000
"""How many jobs of a collection are remembered."""

LONGEST_TROUBLE = 1_000
"""Characters kept of what went wrong last."""

SILENT_AFTER_SECONDS = 15.0
"""A producer that has not been heard of for so long counts as interrupted."""


class JobState(StrEnum):
    """Where a job is."""

    LISTING = "listing"
    """Its producer reads and publishes."""
    WATCHING = "watching"
    """Its producer brings what changes, until someone ends it."""
    INGESTING = "ingesting"
    """Everything is published; workers are at it."""
    DONE = "done"
    BUDGET_REACHED = "budget reached"
    """All that the budget bore is through; the next run goes on with the rest."""
    PAUSED = "paused"
    CANCELLED = "cancelled"
    """Nothing of it goes on; what was not through keeps the version before."""
    INTERRUPTED = "interrupted"
    """Its producer is gone before it was through; the same command resumes it."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job at one moment; counters are numbers of documents unless they say otherwise."""

    id: str
    collection: str
    source: str
    created_ms: int
    seen_ms: int
    finished_ms: int
    """When its last batch was struck off; 0 while something is left to do."""
    sealed: bool
    trouble: str
    counts: Mapping[str, int]
    halt: str = ""
    """A ``control.Halt``."""
    held: str = ""
    """Why its producer stopped before the end of its source: a budget was reached."""
    notice: str = ""
    """What people were told before it began: why it costs more than they may expect."""
    watching: bool = False
    """Its producer has brought all that there was, and waits for changes."""

    def count(self, name: str) -> int:
        """Give a counter; 0 when nothing was counted."""
        return self.counts.get(name, 0)

    @property
    def documents_settled(self) -> int:
        """Of the documents that were promised, those that are through, one way or another."""
        return (
            self.count("documents_committed")
            + self.count("documents_failed")
            + self.count("documents_superseded")
            + self.count("documents_cancelled")
        )

    @property
    def drained(self) -> bool:
        """Tell whether all batches published so far are finished."""
        return self.count("batches_finished") >= self.count("batches_published")

    def state(self, now_ms: int) -> JobState:
        """Judge where the job is at the time ``now_ms``."""
        if self.halt == "cancelled":
            return JobState.CANCELLED
        if self.sealed and self.drained:
            return JobState.BUDGET_REACHED if self.held else JobState.DONE
        if self.halt == "paused":
            return JobState.PAUSED
        if self.sealed:
            return JobState.INGESTING
        if now_ms - self.seen_ms > SILENT_AFTER_SECONDS * 1000:
            return JobState.INTERRUPTED
        return JobState.WATCHING if self.watching else JobState.LISTING


_FACTS = (
    "source",
    "created_ms",
    "seen_ms",
    "finished_ms",
    "sealed",
    "trouble",
    "halt",
    "held",
    "notice",
    "watching",
)


class Jobs:
    """The jobs of one collection."""

    def __init__(self, redis: Redis, collection: str) -> None:
        """Use a client that the caller closes."""
        self.redis = redis
        self.collection = collection
        self.keys = Keys(collection)
        self._report = script(redis, "report")
        self._forget = script(redis, "forget_jobs")

    async def create(self, source: str) -> str:
        """Begin a job and name it: sortable by time, and short enough to type."""
        now = _now_ms()
        stamp = time.strftime("%y%m%d-%H%M%S", time.gmtime(now / 1000))
        job = f"{stamp}-{secrets.token_hex(3)}"
        pipe = self.redis.pipeline(transaction=True)
        pipe.sadd(COLLECTIONS_KEY, self.collection)
        pipe.zadd(self.keys.jobs, {job: now})
        pipe.hset(
            self.keys.job(job),
            mapping={"source": source, "created_ms": now, "seen_ms": now, "sealed": 0},
        )
        pipe.hsetnx(self.keys.counters, counter_field(BEGUN, source), str(now))
        pipe.zrange(self.keys.jobs, 0, -KEPT_JOBS - 1)
        *_, oldest = await pipe.execute()
        if oldest:
            # Not one whose producer still reports: a watch runs for months.
            names = [text(old) for old in oldest]
            await self._forget(
                keys=[self.keys.jobs, self.keys.cancelled, *map(self.keys.job, names)],
                args=[round(now - SILENT_AFTER_SECONDS * 1000), *names],
            )
        return job

    async def report(self, job: str, counts: Mapping[str, int]) -> None:
        """Write the producer's own counters, which only rise, and that it is alive."""
        await self._write(job, {**counts, "seen_ms": _now_ms()})

    async def mark_watching(self, job: str) -> None:
        """Say that all is published that there was, and that the producer waits for changes."""
        await self._write(job, {"watching": 1})

    async def seal(self, job: str, counts: Mapping[str, int]) -> None:
        """Say that everything is published."""
        now = _now_ms()
        await self._write(job, {**counts, "seen_ms": now, "sealed": 1, "finished_ms": now})

    async def mark_complete(self, source: str) -> None:
        """Say that a whole listing of a source, or a haul of it, is published."""
        field = counter_field(COMPLETED, source)
        await self.redis.hset(self.keys.counters, field, str(_now_ms()))

    async def note_trouble(self, job: str, message: str) -> None:
        """Keep the last thing that went wrong and will be tried again, for people to see."""
        await self._write(job, {"trouble": message[:LONGEST_TROUBLE]})

    async def note(self, job: str, notice: str) -> None:
        """Keep what people were told before the job began."""
        await self._write(job, {"notice": notice[:LONGEST_TROUBLE]})

    async def hold(self, job: str, reason: str) -> None:
        """Say why the producer stops before the end of its source; to be followed by a seal."""
        await self._write(job, {"held": reason[:LONGEST_TROUBLE]})

    async def _write(self, job: str, values: Mapping[str, int | str]) -> None:
        await self._report(
            keys=[self.keys.job(job)], args=[x for pair in values.items() for x in pair]
        )

    async def get(self, job: str) -> Job | None:
        """Give one job, or None when it is not known."""
        fields = await self.redis.hgetall(self.keys.job(job))
        return job_of(job, self.collection, fields) if fields else None

    async def latest(self, number: int) -> list[Job]:
        """List the newest jobs, newest first."""
        newest: list[bytes] = await self.redis.zrange(self.keys.jobs, 0, number - 1, desc=True)  # type: ignore[assignment]
        names = [text(name) for name in newest]
        pipe = self.redis.pipeline(transaction=False)
        for name in names:
            pipe.hgetall(self.keys.job(name))
        found = zip(names, await pipe.execute(), strict=True)
        return [job_of(name, self.collection, fields) for name, fields in found if fields]


async def collections(redis: Redis) -> list[str]:
    """Name the collections that have a ledger in this Redis, in order."""
    return sorted(text(name) for name in await redis.smembers(COLLECTIONS_KEY))


async def find_job(redis: Redis, job: str) -> Job | None:
    """Look a job up in all collections."""
    for collection in await collections(redis):
        found = await Jobs(redis, collection).get(job)
        if found is not None:
            return found
    return None


def job_of(name: str, collection: str, fields: Mapping[Any, Any]) -> Job:
    """Read a job from the fields of its hash."""
    values = {text(key): text(value) for key, value in fields.items()}
    job = Job(
        id=name,
        collection=collection,
        source=values.get("source", ""),
        created_ms=int(values.get("created_ms", 0)),
        seen_ms=int(values.get("seen_ms", 0)),
        finished_ms=int(values.get("finished_ms", 0)),
        sealed=values.get("sealed") == "1",
        trouble=values.get("trouble", ""),
        halt=values.get("halt", ""),
        held=values.get("held", ""),
        notice=values.get("notice", ""),
        watching=values.get("watching") == "1",
        counts={key: int(value) for key, value in values.items() if key not in _FACTS},
    )
    return job if job.sealed and job.drained else replace(job, finished_ms=0)


def _now_ms() -> int:
    return round(time.time() * 1000)
