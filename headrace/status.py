"""What is going on: workers, collections, jobs, in one value."""

import time
from dataclasses import asdict, dataclass
from typing import Any

from redis.asyncio import Redis

from contract.ledger.jobs import Job, Jobs, collections
from contract.ledger.ledger import Ledger
from contract.ledger.records import Totals
from contract.presence import present_workers


@dataclass(frozen=True, slots=True)
class CollectionStatus:
    """One collection; counts of what is not through yet."""

    name: str
    unfinished: Totals
    dead_letters: int
    jobs: tuple[Job, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """Everything at one moment."""

    now_ms: int
    workers: tuple[str, ...]
    collections: tuple[CollectionStatus, ...]


async def read_status(redis: Redis, *, jobs: int) -> Status:
    """Read the status from the ledgers.

    Args:
        redis: a client that the caller closes.
        jobs: how many of the newest jobs of each collection to include.
    """
    found = []
    for name in await collections(redis):
        ledger = Ledger(redis, name)
        found.append(
            CollectionStatus(
                name,
                await ledger.totals(),
                int(await redis.hlen(ledger.keys.dead)),
                tuple(await Jobs(redis, name).latest(jobs)),
            )
        )
    now_ms = round(time.time() * 1000)
    return Status(now_ms, tuple(await present_workers(redis)), tuple(found))


def job_as_dict(job: Job, now_ms: int) -> dict[str, Any]:
    """Give a job's fields, for JSON."""
    return {
        "id": job.id,
        "collection": job.collection,
        "source": job.source,
        "state": job.state(now_ms).value,
        "created_ms": job.created_ms,
        "finished_ms": job.finished_ms,
        "trouble": job.trouble,
        "counts": dict(sorted(job.counts.items())),
    }


def status_as_dict(status: Status) -> dict[str, Any]:
    """Give the status, for JSON."""
    return {
        "running": True,
        "workers": list(status.workers),
        "collections": [
            {
                "name": item.name,
                "unfinished": asdict(item.unfinished),
                "dead_letters": item.dead_letters,
                "jobs": [job_as_dict(job, status.now_ms) for job in item.jobs],
            }
            for item in status.collections
        ],
    }
