"""How a worker process begins, drains and ends."""

import asyncio
import contextlib
import gc
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from celery import Celery
from celery.worker import state as celery_state
from prometheus_client import CollectorRegistry

from contract.errors import TransientError
from contract.lane import Lane
from contract.ledger.connection import translated
from contract.presence import Trouble
from contract.process_metrics import show_process
from contract.settings import Settings
from contract.side_door import SideDoor, standard_routes
from contract.tasks import AGAIN_SECONDS, end
from contract.tracing import start_tracing
from worker.composition import Composition, compose
from worker.deafness import DEAF_AFTER_SECONDS, Hearing, wait_for_deafness
from worker.identity import worker_id_prefix
from worker.ingest import Ingester
from worker.loop import LoopThread
from worker.metrics import Metrics
from worker.milvus import quiet_libraries
from worker.outcome import Ingested, Outcome
from worker.parent import end_with_parent
from worker.slots import Slots

DEAF = 75
"""EX_TEMPFAIL: no message reaches this process any more; another one would hear."""
FAILED = 1

logger = logging.getLogger(__name__)

STUCK_AFTER_SECONDS = 10.0
"""An event loop silent for so long is not healthy."""
LEAVE_SECONDS = 8.0
"""After which a process that leaves in good order is ended, whatever hangs in it."""


class WorkerProcess:
    """Everything that one worker process holds.

    Stop order: no new claims (``drain``), batches in flight end or give their lease back,
    Celery's threads end, then ``stop`` closes clients, loop and port.
    """

    def __init__(self, settings: Settings, app: Celery) -> None:
        """Hold the settings; ``start`` begins."""
        self.settings = settings
        self.app = app
        self.draining = False
        self.deaf_after_seconds = DEAF_AFTER_SECONDS
        self.slots = {
            Lane.LIVE: Slots(settings.live_slots),
            Lane.BULK: Slots(settings.worker_concurrency),
        }
        self.metrics = Metrics(CollectorRegistry())
        show_process(self.metrics.registry)
        self.metrics.watch_slots(self.slots)
        self.metrics.embedding.describe(settings)
        self._loop: LoopThread | None = None
        self._side_door: SideDoor | None = None
        self._clients = contextlib.AsyncExitStack()
        self._end_tracing: Callable[[], None] = lambda: None
        self._closing = False
        self._inside: Composition | None = None
        self._background: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Build clients and threads, and open the port.

        Raises:
            UsageError: the configuration can never work.
        """
        quiet_libraries()
        self._end_tracing = start_tracing(self.settings, "worker")
        self._loop = LoopThread(self.metrics.loop_lag.observe)
        if self.settings.metrics_port:
            self._side_door = SideDoor(
                self.settings.metrics_host,
                self.settings.metrics_port,
                standard_routes(self.metrics.registry, self.health, self.readiness),
            )
        self._loop.run(self._open(), timeout_seconds=120)
        # What is imported stays: full collections that walk through it cost a sixth of the
        # CPU of an import (175 -> 145 us a chunk).
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)

    def ingest(self, collection: str, batch_id: str, lane: Lane) -> None:
        """Bring one batch to its end; called in a thread of Celery's pool."""
        with self.slots[lane].one_taken():
            loop, inside = self._loop, self._inside
            if self.draining or loop is None or inside is None:
                return  # the batch waits in the ledger; the sweeper announces it again
            with self.metrics.in_flight.track_inprogress():
                # Its time-outs are its own: it may wait out an outage before it begins.
                ingested = loop.run(self._ingest(inside.ingester, collection, batch_id))
            self.metrics.observe(ingested)

    def health(self) -> dict[str, Any]:
        """Tell whether the loop lives; what ``/healthz`` shows."""
        silent = self._loop.silent_seconds if self._loop else 0.0
        return {
            "ok": silent < STUCK_AFTER_SECONDS,
            "draining": self.draining,
            "waiting_for": [trouble.dependency for trouble in self._troubles()],
            "event_loop_silent_seconds": round(silent, 3),
        }

    def readiness(self) -> dict[str, Any]:
        """Tell whether it takes batches; what ``/readyz`` shows."""
        waiting_for = [trouble.dependency for trouble in self._troubles()]
        ready = self._inside is not None and not self.draining and not waiting_for
        return {"ok": ready, "draining": self.draining, "waiting_for": waiting_for}

    def _troubles(self) -> Sequence[Trouble]:
        return self._inside.troubles.current() if self._inside else ()

    def drain(self) -> None:
        """Claim nothing more; what is in flight may end within ``drain_seconds``."""
        self.draining = True
        logger.info("draining", extra={"event": "draining"})
        if self._loop is not None:
            self._loop.call_later(self.settings.drain_seconds, self._give_up)

    def leave(self, code: int) -> None:
        """End this process with an exit code, because a new one would do better.

        What is in flight is given back at once. Celery is asked to end; where its main thread
        hangs, the process ends without it.
        """
        logger.warning("leaving", extra={"event": "leaving", "code": code})
        self.draining = True
        last_resort = threading.Timer(LEAVE_SECONDS, os._exit, [code])
        last_resort.daemon = True
        last_resort.start()
        self._give_up()
        celery_state.should_stop = code

    def _give_up(self) -> None:
        """Cancel what is still in flight, but not the closing itself; again until it obeys."""
        if self._loop is not None and not self._closing:
            self._loop.cancel_all()
            self._loop.call_later(AGAIN_SECONDS, self._give_up)

    def stop(self) -> None:
        """Close everything, in the reverse order of ``start``."""
        self._closing = True
        with contextlib.ExitStack() as rest:
            rest.callback(self._end_tracing)
            if self._side_door is not None:
                rest.callback(self._side_door.close)
            if self._loop is not None:
                rest.callback(self._loop.stop)
                self._loop.run(self._close(), timeout_seconds=30)
        logger.info("stopped", extra={"event": "stopped"})

    async def _ingest(self, ingester: Ingester, collection: str, batch_id: str) -> Ingested:
        try:
            with translated(self.settings):
                return await ingester.ingest(collection, batch_id)
        except TransientError as error:
            # Redis is away: the lease runs out by itself, the sweeper announces again.
            logger.warning("ledger away", extra={"event": "ledger_away", "error": str(error)})
            return Ingested(Outcome.LOST, reason=type(error).__name__)
        except asyncio.CancelledError:
            return Ingested(Outcome.GIVEN_BACK, reason="stopping")

    async def _open(self) -> None:
        identity = f"{worker_id_prefix(os.getpid())}{secrets.token_hex(4)}:"
        self._inside = await compose(self.settings, self.app, self.metrics, identity, self._clients)
        self._background = [
            *self._inside.background,
            asyncio.create_task(end_with_parent(), name="parent"),
            asyncio.create_task(self._listen(), name="ears"),
        ]
        for task in self._background:
            task.add_done_callback(self._leave_if_failed)

    def _leave_if_failed(self, task: asyncio.Task[None]) -> None:
        """Not go on with half a worker: what runs in the background has no other watcher."""
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._closing:
            logger.error(
                "worker is broken",
                extra={"event": "background_failed", "task": task.get_name()},
                exc_info=error,
            )
            self.leave(FAILED)

    async def _listen(self) -> None:
        seconds = self.deaf_after_seconds
        await wait_for_deafness(self.app, self._hearing, time.monotonic, seconds)
        self.leave(DEAF)

    def _hearing(self, lane: Lane) -> Hearing:
        slots = self.slots[lane]
        can_take = slots.are_free and not self.draining and not self._troubles()
        return Hearing(slots.messages, can_take)

    async def _close(self) -> None:
        await asyncio.gather(*map(end, self._background))
        await self._clients.aclose()
