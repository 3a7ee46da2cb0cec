"""How a worker process begins, drains and ends."""

import asyncio
import contextlib
import gc
import logging
import os
import secrets
import signal
import socket
from typing import Any

from celery import Celery
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from contract.errors import TransientError
from contract.ledger.connection import connect as connect_redis
from contract.ledger.connection import translated
from contract.ledger.ledger import Ledger
from contract.ledger.sweeper import keep_sweeping
from contract.presence import keep_present
from contract.settings import PARENT_VARIABLE, Settings
from contract.tasks import AGAIN_SECONDS, end
from worker.embedding.build import make_embedder
from worker.health import HealthServer
from worker.ingest import Ingester, Limits
from worker.loop import LoopThread
from worker.metrics import Metrics
from worker.milvus import quiet_libraries
from worker.outcome import Ingested, Outcome
from worker.retry import RetryPolicy
from worker.stores import Stores

logger = logging.getLogger(__name__)

STUCK_AFTER_SECONDS = 10.0
"""An event loop silent for so long is not healthy."""


def worker_id_prefix(pid: int) -> str:
    """Give what the owners of all leases of a process on this machine begin with."""
    return f"{socket.gethostname()}:{pid}:"


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
        self.metrics = Metrics(CollectorRegistry())
        for collector in (GCCollector, PlatformCollector, ProcessCollector):
            collector(registry=self.metrics.registry)
        self._loop: LoopThread | None = None
        self._health: HealthServer | None = None
        self._clients = contextlib.AsyncExitStack()
        self._closing = False
        self._ingester: Ingester | None = None
        self._background: list[asyncio.Task[None]] = []
        self._parent = int(os.environ.get(PARENT_VARIABLE, "0"))

    def start(self) -> None:
        """Build clients and threads, and open the port.

        Raises:
            UsageError: the configuration can never work.
        """
        quiet_libraries()
        self._loop = LoopThread()
        self.metrics.slots.set(self.settings.worker_concurrency)
        self.metrics.watch_loop(lambda: self._loop.lag_seconds if self._loop else 0.0)
        if self.settings.metrics_port:
            self._health = HealthServer(
                self.settings.metrics_host,
                self.settings.metrics_port,
                self.metrics.registry,
                self.health,
            )
        self._loop.run(self._open(), timeout_seconds=120)
        # What is imported stays: full collections that walk through it cost a sixth of the
        # CPU of an import (175 -> 145 us a chunk).
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)

    def ingest(self, collection: str, batch_id: str) -> None:
        """Bring one batch to its end; called in a thread of Celery's pool."""
        loop, ingester = self._loop, self._ingester
        if self.draining or loop is None or ingester is None:
            return  # the batch waits in the ledger; the sweeper announces it again
        # Above the batch's own time-out, which is the one that should act.
        patience = self.settings.batch_timeout_seconds + self.settings.lease_seconds
        with self.metrics.in_flight.track_inprogress():
            ingested = loop.run(self._ingest(ingester, collection, batch_id), patience)
        self.metrics.observe(ingested)

    def health(self) -> dict[str, Any]:
        """Tell whether the loop lives; what ``/healthz`` shows."""
        silent = self._loop.silent_seconds if self._loop else 0.0
        return {
            "ok": silent < STUCK_AFTER_SECONDS,
            "draining": self.draining,
            "event_loop_silent_seconds": round(silent, 3),
        }

    def drain(self) -> None:
        """Claim nothing more; what is in flight may end within ``drain_seconds``."""
        self.draining = True
        logger.info("draining", extra={"event": "draining"})
        if self._loop is not None:
            self._loop.call_later(self.settings.drain_seconds, self._give_up)

    def _give_up(self) -> None:
        """Cancel what is still in flight, but not the closing itself; again until it obeys."""
        if self._loop is not None and not self._closing:
            self._loop.cancel_all()
            self._loop.call_later(AGAIN_SECONDS, self._give_up)

    def stop(self) -> None:
        """Close everything, in the reverse order of ``start``."""
        self._closing = True
        with contextlib.ExitStack() as rest:
            if self._health is not None:
                rest.callback(self._health.close)
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
        settings = self.settings
        redis = connect_redis(settings)
        self._clients.push_async_callback(redis.aclose)
        embedder = make_embedder(settings)
        self._clients.push_async_callback(embedder.aclose)
        stores = Stores(settings, redis, embedder)
        self._clients.push_async_callback(stores.close)
        identity = f"{worker_id_prefix(os.getpid())}{secrets.token_hex(4)}:"
        ledgers: dict[str, Ledger] = {}

        def ledger_of(collection: str) -> Ledger:
            return ledgers.setdefault(collection, Ledger(redis, collection))

        self._ingester = Ingester(
            worker_id=identity,
            ledger_of=ledger_of,
            store_of=stores.get,
            embedder=embedder,
            limits=Limits(settings.lease_seconds, settings.batch_timeout_seconds, RetryPolicy()),
        )
        self._background = [
            asyncio.create_task(keep_sweeping(redis, self.app, settings), name="sweeper"),
            asyncio.create_task(keep_present(redis, identity, settings), name="presence"),
            asyncio.create_task(self._watch_parent(), name="parent"),
        ]

    async def _close(self) -> None:
        await asyncio.gather(*map(end, self._background))
        await self._clients.aclose()

    async def _watch_parent(self) -> None:
        """End with the command that started this worker, also when that was killed."""
        if not self._parent:
            return
        while os.getppid() == self._parent:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.5)
        logger.warning("parent is gone", extra={"event": "parent_gone"})
        os.kill(os.getpid(), signal.SIGTERM)
