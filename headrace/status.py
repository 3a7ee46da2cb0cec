"""What is going on: workers, collections, jobs, in one value."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
from redis.asyncio import Redis

from contract.lane import Lane
from contract.ledger.connection import check, connect, translated
from contract.ledger.control import Halt, JobControl
from contract.ledger.jobs import Job, Jobs, collections
from contract.ledger.records import Totals
from contract.ledger.survey import LaneState, Survey
from contract.ledger.usage import day_of
from contract.presence import PRODUCERS_KEY, Trouble, present_workers, troubles_of
from contract.prices import cost_usd
from contract.settings import Settings
from headrace.schedules.book import Book

LOOKED_AT_JOBS = 200
"""Of each collection, to find those that are paused."""
_NEVER = 2**53
"""Later than any job in ms: the survey is asked for none."""


@dataclass(frozen=True, slots=True)
class CollectionStatus:
    """One collection; counts of what is not through yet."""

    name: str
    unfinished: Totals
    dead_letters: int
    """Documents that can't be ingested; each is found as it was before, if it was."""
    clearing: tuple[str, ...]
    """Cancelled jobs whose documents are being given up still."""
    tokens_today: Mapping[str, int]
    """What sources have used since midnight (UTC); those that used nothing are left out."""
    jobs: tuple[Job, ...]
    """The newest, and of the older ones those that are paused."""


@dataclass(frozen=True, slots=True)
class Status:
    """Everything at one moment."""

    now_ms: int
    workers: tuple[str, ...]
    producers: tuple[str, ...]
    """Producer workers, which carry out scheduled runs."""
    schedules: int
    overdue: tuple[str, ...]
    """Schedules that should have run by now, and nobody dealt with it."""
    troubles: Mapping[str, tuple[Trouble, ...]]
    """What workers wait for; those that wait for nothing are left out."""
    queues: Mapping[str, int] | None
    """Messages that wait, by lane; None where they lie at another broker."""
    lanes: Mapping[str, LaneState]
    """Unfinished batches of all collections together, by lane."""
    collections: tuple[CollectionStatus, ...]


async def read_status(redis: Redis, *, jobs: int, is_broker: bool = True) -> Status:
    """Read the status from the ledgers.

    Args:
        redis: a client that the caller closes.
        jobs: how many of the newest jobs of each collection to include.
        is_broker: whether this Redis holds the queues as well.
    """
    found: list[CollectionStatus] = []
    lanes = {lane.value: LaneState() for lane in Lane}
    today = day_of(time.time())
    for name in await collections(redis):
        newest = await Jobs(redis, name).latest(max(jobs, LOOKED_AT_JOBS))
        state = await Survey(redis, name).read(today, since_ms=_NEVER)
        for lane, work in state.lanes.items():
            lanes[lane.value] = _both(lanes[lane.value], work)
        shown = [job for at, job in enumerate(newest) if at < jobs or job.halt == Halt.PAUSED.value]
        found.append(
            CollectionStatus(
                name,
                state.totals,
                state.dead_letters,
                tuple(await JobControl(redis, name).cancelled_jobs()),
                state.tokens_today,
                tuple(shown),
            )
        )
    now_ms = round(time.time() * 1000)
    workers = await present_workers(redis)
    schedules = await Book(redis).entries()
    return Status(
        now_ms,
        tuple(workers),
        tuple(await present_workers(redis, PRODUCERS_KEY)),
        len(schedules),
        tuple(entry.schedule.name for entry in schedules if entry.is_overdue(now_ms)),
        await troubles_of(redis, workers),
        {lane.value: await redis.llen(lane.queue) for lane in Lane} if is_broker else None,
        lanes,
        tuple(found),
    )


async def status_of(settings: Settings, *, jobs: int) -> Status:
    """Read the status of servers that are there, on a client of its own.

    Raises:
        UnreachableError: Redis does not answer.
        UsageError: it refuses the credentials.
    """
    redis = connect(settings)
    try:
        await check(redis, settings)
        with translated(settings):
            return await read_status(redis, jobs=jobs, is_broker=settings.broker_url is None)
    finally:
        await redis.aclose()


def _both(one: LaneState, other: LaneState) -> LaneState:
    return LaneState(
        one.waiting + other.waiting,
        one.resting + other.resting,
        one.leased + other.leased,
        one.parked + other.parked,
        max(one.oldest_ms, other.oldest_ms),
    )


def job_as_dict(job: Job, now_ms: int, price: float | None = None) -> dict[str, Any]:
    """Give a job's fields, for JSON; the price is in US dollars per million tokens, if known."""
    return {
        "id": job.id,
        "collection": job.collection,
        "source": job.source,
        "state": job.state(now_ms).value,
        "created_ms": job.created_ms,
        "finished_ms": job.finished_ms,
        "trouble": job.trouble,
        "held": job.held,
        "notice": job.notice,
        "counts": dict(sorted(job.counts.items())),
        "usd_saved": cost_usd(job.count("tokens_saved"), price),
    }


def status_as_dict(status: Status, price: float | None = None) -> dict[str, Any]:
    """Give the status, for JSON; the price is in US dollars per million tokens, if known."""
    return {
        "running": True,
        "workers": list(status.workers),
        "producers": list(status.producers),
        "schedules": status.schedules,
        "overdue_schedules": list(status.overdue),
        "troubles": {
            worker: [msgspec.structs.asdict(trouble) for trouble in troubles]
            for worker, troubles in status.troubles.items()
        },
        "queues": None if status.queues is None else dict(status.queues),
        "lanes": {lane: asdict(work) for lane, work in status.lanes.items()},
        "collections": [
            {
                "name": item.name,
                "unfinished": asdict(item.unfinished),
                "dead_letters": item.dead_letters,
                "clearing": list(item.clearing),
                "tokens_today": dict(item.tokens_today),
                "jobs": [job_as_dict(job, status.now_ms, price) for job in item.jobs],
            }
            for item in status.collections
        ],
    }
