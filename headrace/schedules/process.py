"""What one producer worker process holds: an event loop, in which its runs are carried out."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from contract.errors import HeadraceError
from contract.ledger.connection import connect, is_there
from contract.presence import PRODUCERS_KEY, keep_present
from contract.process_metrics import show_process
from contract.settings import Settings
from contract.side_door import SideDoor, standard_routes
from contract.tasks import AGAIN_SECONDS, end
from contract.tracing import start_tracing
from headrace.schedules.metrics import RunMetrics
from headrace.schedules.runner import Runner
from worker.identity import worker_id_prefix
from worker.loop import LoopThread
from worker.milvus import quiet_libraries
from worker.parent import end_with_parent

START_SECONDS = 30.0
STOP_SECONDS = 30.0
STUCK_AFTER_SECONDS = 10.0
"""An event loop silent for so long is not healthy."""

logger = logging.getLogger(__name__)


class ProducerProcess:
    """Carries out runs that Celery's threads hand over, and says that it lives.

    Stop order: ``drain`` gives the runs in hand back, Celery's threads end, then ``stop`` closes
    client and loop. What was published goes on meanwhile; whoever takes a run up again finds it.
    """

    def __init__(self, settings: Settings) -> None:
        """Hold the settings; ``start`` begins."""
        self._settings = settings
        self._runner = Runner(settings)
        self.metrics = RunMetrics(CollectorRegistry())
        show_process(self.metrics.registry)
        self.metrics.watch_slots(settings.run_slots, lambda: self._busy)
        self._busy = 0
        self._side_door: SideDoor | None = None
        self._loop: LoopThread | None = None
        self._redis: Redis | None = None
        self._draining = False
        self._closing = False
        self._end_tracing: Callable[[], None] = lambda: None
        self._background: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Build the loop, open the port, and say that this process lives.

        Raises:
            UsageError: the port can't be served.
        """
        quiet_libraries()
        self._end_tracing = start_tracing(self._settings, "producer")
        self._loop = LoopThread(self.metrics.loop_lag.observe)
        if self._settings.metrics_port:
            self._side_door = SideDoor(
                self._settings.metrics_host,
                self._settings.metrics_port,
                standard_routes(self.metrics.registry, self.health, self.readiness),
            )
        self._loop.run(self._open(), timeout_seconds=START_SECONDS)
        logger.info("producer ready", extra={"event": "producer_ready"})

    def run(self, run_id: str) -> None:
        """Carry a run out; called in a thread of Celery's pool."""
        if self._loop is not None and not self._draining:
            self._loop.run(self._carry_out(run_id))

    def health(self) -> dict[str, Any]:
        """Tell whether the loop lives; what ``/healthz`` shows."""
        silent = self._loop.silent_seconds if self._loop else 0.0
        return {
            "ok": silent < STUCK_AFTER_SECONDS,
            "draining": self._draining,
            "event_loop_silent_seconds": round(silent, 3),
        }

    def readiness(self) -> dict[str, Any]:
        """Tell whether it takes runs; what ``/readyz`` shows. Asks Redis; not from the loop."""
        answers = False
        if self._redis is not None and self._loop is not None:
            with contextlib.suppress(TimeoutError):  # the loop is stuck
                answers = self._loop.run(is_there(self._redis), STUCK_AFTER_SECONDS)
        waiting_for = [] if answers else ["redis"]
        ready = answers and not self._draining
        return {"ok": ready, "draining": self._draining, "waiting_for": waiting_for}

    def drain(self) -> None:
        """Begin nothing more, and give back what is in hand."""
        self._draining = True
        self._give_back()

    def stop(self) -> None:
        """Close everything, in the reverse order of ``start``."""
        self._closing = True
        if self._side_door is not None:
            self._side_door.close()
        if self._loop is not None:
            self._loop.run(self._close(), timeout_seconds=STOP_SECONDS)
            self._loop.stop()
        self._end_tracing()
        logger.info("producer stopped", extra={"event": "producer_stopped"})

    def _give_back(self) -> None:
        """Cancel all runs; again until they obey, but not the closing itself."""
        if self._loop is not None and not self._closing:
            self._loop.cancel_all()
            self._loop.call_later(AGAIN_SECONDS, self._give_back)

    async def _carry_out(self, run_id: str) -> None:
        begun = time.monotonic()
        self._busy += 1
        try:
            state = await self._runner.carry_out(run_id)
            if state is not None:
                self.metrics.ended(state, time.monotonic() - begun)
        except asyncio.CancelledError:
            logger.info("stopped in a run", extra={"event": "run", "run": run_id})
        except HeadraceError as error:
            # Its lease runs out, and it is announced again.
            logger.warning("run left", extra={"event": "run", "run": run_id, "error": str(error)})
        finally:
            self._busy -= 1

    async def _open(self) -> None:
        self._redis = connect(self._settings)
        identity = worker_id_prefix(os.getpid()).removesuffix(":")
        presence = keep_present(self._redis, identity, self._settings, key=PRODUCERS_KEY)
        self._background = [
            asyncio.create_task(presence, name="presence"),
            asyncio.create_task(end_with_parent(), name="parent"),
        ]

    async def _close(self) -> None:
        await asyncio.gather(*map(end, self._background))
        if self._redis is not None:
            await self._redis.aclose()
