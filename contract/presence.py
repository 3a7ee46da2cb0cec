"""Who is there: worker processes tell Redis that they live, for ``status`` and for hints."""

import asyncio
import time

from redis.asyncio import Redis

from contract.errors import TransientError
from contract.ledger.connection import text, translated
from contract.names import PREFIX
from contract.settings import Settings

KEY = f"{PREFIX}:workers"
"""A sorted set: workers by the ms of their last sign of life."""

BEAT_SECONDS = 2.0
GONE_AFTER_SECONDS = 8.0


async def keep_present(redis: Redis, worker_id: str, settings: Settings) -> None:
    """Give a sign of life every few seconds until cancelled, then say good-bye."""
    try:
        while True:
            try:
                with translated(settings):
                    now = _now_ms()
                    pipe = redis.pipeline(transaction=False)
                    pipe.zadd(KEY, {worker_id: now})
                    pipe.zremrangebyscore(KEY, "-inf", now - 60_000)
                    await pipe.execute()
            except TransientError:
                pass  # the next beat tells; the sweeper logs the outage
            await asyncio.sleep(BEAT_SECONDS)
    finally:
        await redis.zrem(KEY, worker_id)


async def present_workers(redis: Redis) -> list[str]:
    """Name the workers that showed a sign of life lately, in order."""
    since = _now_ms() - GONE_AFTER_SECONDS * 1000
    return sorted(text(name) for name in await redis.zrangebyscore(KEY, since, "+inf"))


def _now_ms() -> int:
    return round(time.time() * 1000)
