"""Which batches of one job are unfinished, and in whose hands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from contract.ledger.connection import text
from contract.names import Keys

PAGE = 1_000
"""Batches that are looked at together."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Ids of the unfinished batches of a job; those that a pause has put aside are left out."""

    waiting: tuple[str, ...]
    leased: tuple[str, ...]
    """In a worker's hands, or in those of one that has died since."""


async def unfinished_batches(redis: Redis, collection: str, job: str) -> Unfinished:
    """Find them, by a look at all unfinished batches of the collection."""
    keys = Keys(collection)
    waiting = await _of_job(redis, keys, job, await redis.zrange(keys.waiting, 0, -1))
    return Unfinished(
        waiting, await _of_job(redis, keys, job, await redis.zrange(keys.leased, 0, -1))
    )


async def _of_job(redis: Redis, keys: Keys, job: str, batches: Sequence[Any]) -> tuple[str, ...]:
    found = []
    for at in range(0, len(batches), PAGE):
        some = batches[at : at + PAGE]
        pipe = redis.pipeline(transaction=False)
        for batch in some:
            pipe.hget(keys.batch(text(batch)), "job")
        jobs = zip(some, await pipe.execute(), strict=True)
        found += [text(batch) for batch, of in jobs if of is not None and text(of) == job]
    return tuple(found)
