"""Who is there: worker processes tell Redis that they live, for ``status`` and for hints."""

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec
from redis.asyncio import Redis

from contract.errors import TransientError
from contract.ledger.connection import text, translated
from contract.names import PREFIX
from contract.settings import Settings

KEY = f"{PREFIX}:workers"
"""A sorted set: workers by the ms of their last sign of life."""
PRODUCERS_KEY = f"{PREFIX}:producers"
"""Likewise, producer workers."""

BEAT_SECONDS = 2.0
GONE_AFTER_SECONDS = 8.0


class Trouble(msgspec.Struct, frozen=True):
    """A server that a worker waits for; until it is back, it begins no batch."""

    dependency: str
    """embedding or milvus."""
    reason: str
    """Without secrets."""
    since_ms: int


_decoder = msgspec.json.Decoder(tuple[Trouble, ...])


async def keep_present(
    redis: Redis,
    worker_id: str,
    settings: Settings,
    troubles: Callable[[], Sequence[Trouble]] = tuple,
    key: str = KEY,
) -> None:
    """Give a sign of life every few seconds until cancelled, then say good-bye.

    Args:
        redis: a client that the caller closes.
        worker_id: who lives.
        settings: name the address in errors.
        troubles: what this worker waits for now.
        key: of its kind.
    """
    try:
        while True:
            try:
                with translated(settings):
                    await _beat(redis, key, worker_id, troubles())
            except TransientError:
                pass  # the next beat tells; the sweeper logs the outage
            await asyncio.sleep(BEAT_SECONDS)
    finally:
        await redis.zrem(key, worker_id)


async def _beat(redis: Redis, key: str, worker_id: str, troubles: Sequence[Trouble]) -> None:
    now = _now_ms()
    pipe = redis.pipeline(transaction=False)
    pipe.zadd(key, {worker_id: now})
    pipe.zremrangebyscore(key, "-inf", now - 60_000)
    if troubles:
        told = msgspec.json.encode(tuple(troubles))
        pipe.set(_trouble_key(worker_id), told, px=round(GONE_AFTER_SECONDS * 1000))
    else:
        pipe.delete(_trouble_key(worker_id))
    await pipe.execute()


async def present_workers(redis: Redis, key: str = KEY) -> list[str]:
    """Name the workers that showed a sign of life lately, in order."""
    since = _now_ms() - GONE_AFTER_SECONDS * 1000
    return sorted(text(name) for name in await redis.zrangebyscore(key, since, "+inf"))


async def troubles_of(redis: Redis, workers: Sequence[str]) -> dict[str, tuple[Trouble, ...]]:
    """Tell what workers wait for; those that wait for nothing are left out."""
    if not workers:
        return {}
    told = await redis.mget([_trouble_key(worker) for worker in workers])
    return {
        worker: _decoder.decode(found)
        for worker, found in zip(workers, told, strict=True)
        if found is not None
    }


def _trouble_key(worker_id: str) -> str:
    return f"{PREFIX}:trouble:{worker_id}"


def _now_ms() -> int:
    return round(time.time() * 1000)
