"""Expiry: documents that no listing or stream has shown for longer than their source allows."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from celery import Celery
from redis.asyncio import Redis
from redis.exceptions import LockError

from contract.errors import CancelledJobError, HeadraceError
from contract.ledger.connection import translated
from contract.ledger.jobs import collections
from contract.ledger.promises import Promises
from contract.ledger.sources import Sources, SourceState
from contract.names import Keys
from contract.settings import Settings
from producers.deleting import GONE
from producers.removing import Removal

INTERVAL_SECONDS: Final = 60.0
LOCK_SECONDS: Final = 300.0
"""After which another scheduler takes over from one that was killed."""

logger = logging.getLogger(__name__)


async def keep_expiring(redis: Redis, app: Celery, settings: Settings) -> None:
    """Delete what has expired, in all collections, until cancelled; outages are waited out."""
    while True:
        try:
            with translated(settings):
                await expire_once(redis, app, settings, time.time)
        except HeadraceError as error:
            logger.warning("expiry failed", extra={"event": "expiry_failed", "error": str(error)})
        await asyncio.sleep(INTERVAL_SECONDS)


async def expire_once(
    redis: Redis, app: Celery, settings: Settings, now: Callable[[], float]
) -> list[str]:
    """Publish the deletion of what has expired by now, for each source as a job of its own.

    A document counts as seen at the time at which the last listing that showed it began, or the
    last haul of its stream. Any number of processes may call this; one of them works at a time.

    Args:
        redis: a client that the caller closes.
        app: a Celery app that may publish.
        settings: how to batch.
        now: gives the seconds since 1970; listings are numbered by the clock of Redis, so what
            these two differ by is what documents go too early or too late.

    Returns:
        The jobs, which nobody waits for here.
    """
    jobs = []
    for collection in await collections(redis):
        sources = Sources(redis, collection)
        mortal = [state for state in await sources.all() if state.ttl_seconds is not None]
        lock = redis.lock(Keys(collection).lock("expiry"), timeout=LOCK_SECONDS, blocking=False)
        if not mortal or not await lock.acquire():
            continue
        try:
            for state in mortal:
                jobs += await _expire(sources, app, settings, state, now)
        finally:
            with suppress(LockError):  # it took too long, and another went on
                await lock.release()
    return jobs


async def _expire(
    sources: Sources, app: Celery, settings: Settings, state: SourceState, now: Callable[[], float]
) -> list[str]:
    while await sources.start_clocks(state.name):
        pass
    before_ms = round((now() - (state.ttl_seconds or 0)) * 1000)
    promises = Promises(sources.redis, sources.collection)
    async for page in promises.unseen(state.name, before_ms):
        if None in await promises.lookup([(gone.document_id, GONE) for gone in page]):
            break  # of this one no deletion is promised yet
    else:
        return []
    removal = Removal(sources.redis, settings, sources.collection, state.name, before_ms)
    with suppress(CancelledJobError):  # the next time it begins anew
        await removal.run(app)
    logger.info(
        "documents expired",
        extra={
            "event": "expired",
            "collection": sources.collection,
            "source": state.name,
            "documents": removal.tally.promised,
        },
    )
    return [removal.job]
