"""The sweeper: announces again what fell on the floor.

Any number of sweepers may run; a lock lets one of them work at a time, and a second
announcement is harmless anyway.
"""

import asyncio
import logging

from celery import Celery
from redis.asyncio import Redis

from contract.errors import TransientError
from contract.lane import Lane
from contract.ledger.connection import translated
from contract.ledger.jobs import collections
from contract.ledger.ledger import Ledger
from contract.names import PREFIX
from contract.queue import announce, messages_by_lane
from contract.settings import Settings

INTERVAL_SECONDS = 2.0
LOCK_MS = round(INTERVAL_SECONDS * 900)
LOCK_KEY = f"{PREFIX}:lock:sweeper"

logger = logging.getLogger(__name__)


async def sweep_once(redis: Redis, app: Celery, *, silent_owner: str = "") -> int:
    """Sweep all collections; returns how many batches were announced again.

    A batch that nobody has claimed is not overdue because the queue is long: only as many
    are announced as the broker holds fewer messages than the ledger has batches to claim, in
    each lane, so that a long queue of the one does not keep a lost message of the other.

    Args:
        redis: a client that the caller closes.
        app: a Celery app that may publish.
        silent_owner: beginning of the owners known to be dead; their batches are taken
            away at once instead of at the end of their leases.
    """
    found = {
        collection: await Ledger(redis, collection).sweep(silent_owner=silent_owner)
        for collection in await collections(redis)
    }
    if not any(swept.due for swept in found.values()):
        return 0
    held = await asyncio.to_thread(messages_by_lane, app)
    announced = 0
    for lane in Lane:
        swept = {collection: found[collection].lanes[lane] for collection in found}
        # One queue carries all collections, so which of them lacks a message can't be told.
        missing = max(sum(part.due for part in swept.values()) - held[lane], 0)
        for collection, part in swept.items():
            again = part.oldest[: max(part.taken_away, missing)]
            if again:
                await asyncio.to_thread(announce, app, collection, again, lane)
                announced += len(again)
                _tell(collection, lane, len(again), part.taken_away)
    return announced


def _tell(collection: str, lane: Lane, batches: int, taken_away: int) -> None:
    logger.info(
        "batches announced again",
        extra={
            "event": "announced_again",
            "collection": collection,
            "lane": lane.value,
            "batches": batches,
            "taken_away": taken_away,
        },
    )


async def keep_sweeping(redis: Redis, app: Celery, settings: Settings) -> None:
    """Sweep every few seconds until cancelled; outages are waited out."""
    while True:
        try:
            with translated(settings):
                if await redis.set(LOCK_KEY, "1", nx=True, px=LOCK_MS):
                    await sweep_once(redis, app)
        except TransientError as error:
            logger.warning("sweep failed", extra={"event": "sweep_failed", "error": str(error)})
        await asyncio.sleep(INTERVAL_SECONDS)
