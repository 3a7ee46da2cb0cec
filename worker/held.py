"""What budgets have stopped, for the metrics of workers: producers live too short for their own."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from redis.asyncio import Redis

from contract.errors import TransientError
from contract.ledger.connection import translated
from contract.ledger.jobs import Jobs, collections
from contract.ledger.usage import Usage, day_of
from contract.settings import Settings

INTERVAL_SECONDS = 15.0
LOOKED_AT_JOBS = 200
"""Of each collection: the newest."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """What all workers find alike."""

    sources: int
    """Those whose newest job stopped because a budget was reached."""
    tokens_today: int
    """Embedded for all sources since midnight (UTC)."""


async def look(redis: Redis, now: float) -> Held:
    """Look at all collections.

    Args:
        redis: a client that the caller closes.
        now: the time in seconds since 1970.
    """
    sources = tokens = 0
    for name in await collections(redis):
        newest: dict[str, bool] = {}
        for job in await Jobs(redis, name).latest(LOOKED_AT_JOBS):
            newest.setdefault(job.source, bool(job.held))
        sources += sum(newest.values())
        tokens += sum((await Usage(redis, name).of_day(day_of(now))).values())
    return Held(sources, tokens)


async def keep_looking(redis: Redis, settings: Settings, show: Callable[[Held], None]) -> None:
    """Look again and again until cancelled; outages are waited out."""
    while True:
        try:
            with translated(settings):
                show(await look(redis, time.time()))
        except TransientError as error:
            logger.warning("budgets not read", extra={"event": "held_failed", "error": str(error)})
        await asyncio.sleep(INTERVAL_SECONDS)
