"""The scheduler: a process that keeps order, beside or without workers.

It has schedules run as they are due, deletes what has expired, announces again what fell on the
floor, and clears up after cancelled jobs and superseded versions. Workers do the last two as well;
a scheduler does it also while none runs. Any number of them may run at once.
"""

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Any

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from contract.heartbeat import Heartbeat
from contract.ledger.connection import connect, is_there, translated
from contract.ledger.sweeper import keep_sweeping
from contract.process_metrics import show_process
from contract.queue import make_app
from contract.settings import Settings
from contract.side_door import SideDoor, standard_routes
from contract.tasks import end
from headrace.expiry import keep_expiring
from headrace.schedules.keeper import Keeper
from headrace.schedules.metrics import SchedulerMetrics
from headrace.session import Session, require_servers
from worker.eraser import Erasers
from worker.janitor import Janitor
from worker.milvus import quiet_libraries

LOOK_SECONDS = 2.0
"""Between two looks at whether embedded servers still run."""
STUCK_AFTER_SECONDS = 10.0
"""An event loop silent for so long is not healthy."""

logger = logging.getLogger(__name__)


async def keep_order(session: Session) -> None:
    """Keep order in all collections until cancelled; outages are waited out.

    Raises:
        UnreachableError: an embedded server has ended, which nothing would bring back.
        UsageError: the port of ``/metrics`` can't be served.
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
        metrics = SchedulerMetrics(CollectorRegistry())
        await _open_side_door(settings, metrics, redis, stack)
        janitor = Janitor(redis, erasers.get, settings.quarantine_seconds)
        keeper = Keeper(redis, app, settings, metrics.dealt_with)
        logger.info("scheduler ready", extra={"event": "scheduler_ready"})
        works = [
            asyncio.create_task(keep_sweeping(redis, app, settings), name="sweeper"),
            asyncio.create_task(janitor.keep_clearing(settings), name="janitor"),
            asyncio.create_task(keeper.keep_going(), name="schedules"),
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


async def _open_side_door(
    settings: Settings, metrics: SchedulerMetrics, redis: Redis, stack: AsyncExitStack
) -> None:
    """Watch the loop, and serve what is found, until the stack is closed."""
    show_process(metrics.registry)
    heartbeat = Heartbeat(metrics.loop_lag.observe)
    await stack.enter_async_context(heartbeat.kept())
    loop = asyncio.get_running_loop()

    def health() -> dict[str, Any]:
        silent = heartbeat.silent_seconds
        ok = silent < STUCK_AFTER_SECONDS
        return {"ok": ok, "event_loop_silent_seconds": round(silent, 3)}

    def readiness() -> dict[str, Any]:
        asking = asyncio.run_coroutine_threadsafe(is_there(redis), loop)
        try:
            answers = asking.result(STUCK_AFTER_SECONDS)
        except TimeoutError:  # the loop is stuck
            answers = False
        return {"ok": answers, "waiting_for": [] if answers else ["redis"]}

    if settings.metrics_port:
        routes = standard_routes(metrics.registry, health, readiness)
        door = SideDoor(settings.metrics_host, settings.metrics_port, routes)
        stack.push_async_callback(asyncio.to_thread, door.close)


async def _watch_servers(session: Session) -> None:
    while True:
        await asyncio.to_thread(require_servers, session)
        await asyncio.sleep(LOOK_SECONDS)
