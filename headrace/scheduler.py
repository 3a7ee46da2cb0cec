"""The scheduler: a process that keeps order, beside or without workers.

It has schedules run as they are due, deletes what has expired, announces again what fell on the
floor, and clears up after cancelled jobs and superseded versions. Workers do the last two as well;
a scheduler does it also while none runs. Any number of them may run at once.
"""

import asyncio
import logging
from contextlib import AsyncExitStack

from contract.ledger.connection import connect, translated
from contract.ledger.sweeper import keep_sweeping
from contract.queue import make_app
from contract.tasks import end
from headrace.expiry import keep_expiring
from headrace.schedules.keeper import Keeper
from headrace.session import Session, require_servers
from worker.eraser import Erasers
from worker.janitor import Janitor
from worker.milvus import quiet_libraries

LOOK_SECONDS = 2.0
"""Between two looks at whether embedded servers still run."""

logger = logging.getLogger(__name__)


async def keep_order(session: Session) -> None:
    """Keep order in all collections until cancelled; outages are waited out.

    Raises:
        UnreachableError: an embedded server has ended, which nothing would bring back.
    """
    quiet_libraries()
    settings = session.settings
    async with AsyncExitStack() as stack:
        redis = connect(settings, patience_seconds=settings.outage_patience_seconds)
        stack.push_async_callback(redis.aclose)
        erasers = Erasers(settings)
        stack.push_async_callback(erasers.close)
        app = make_app(settings)
        stack.push_async_callback(asyncio.to_thread, app.close)
        stack.enter_context(translated(settings))
        janitor = Janitor(redis, erasers.get, settings.quarantine_seconds)
        logger.info("scheduler ready", extra={"event": "scheduler_ready"})
        works = [
            asyncio.create_task(keep_sweeping(redis, app, settings), name="sweeper"),
            asyncio.create_task(janitor.keep_clearing(settings), name="janitor"),
            asyncio.create_task(Keeper(redis, app, settings).keep_going(), name="schedules"),
            asyncio.create_task(keep_expiring(redis, app, settings), name="expiry"),
            asyncio.create_task(_watch_servers(session), name="servers"),
        ]
        try:
            done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
            for work in done:
                work.result()  # none ends but by an error
        finally:
            await asyncio.gather(*map(end, works))
            logger.info("scheduler stopped", extra={"event": "scheduler_stopped"})


async def _watch_servers(session: Session) -> None:
    while True:
        await asyncio.to_thread(require_servers, session)
        await asyncio.sleep(LOOK_SECONDS)
