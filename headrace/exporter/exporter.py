"""The exporter: one process that reads Redis and Milvus now and then, and serves what it read.

It writes nothing there, so that any number of them may run. A scrape waits for neither server.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from redis.asyncio import Redis

from contract.errors import HeadraceError, TimedOutError
from contract.ledger.connection import connect, translated
from contract.prices import price_of
from contract.queue import make_app
from contract.settings import Settings
from contract.side_door import Handle, Reply, Request, SideDoor, standard_routes
from contract.tasks import first_of
from headrace.exporter.board import Board
from headrace.exporter.catalogue import Section
from headrace.exporter.drift import Drift
from headrace.exporter.ledger_facts import LedgerFacts
from headrace.exporter.ledger_watch import LedgerWatch
from headrace.exporter.milvus_reader import MilvusReader
from headrace.exporter.milvus_state import read_milvus
from headrace.exporter.redis_state import read_redis
from headrace.exporter.samples import Facts
from headrace.exporter.schedule_watch import ScheduleWatch
from worker.milvus import quiet_libraries

REDIS_SECONDS: Final = 5.0
"""Longest wait for one call to Redis."""
READ_SECONDS: Final = 30.0
"""Longest time for one reading of a section."""
STUCK_AFTER_SECONDS: Final = 10.0
"""An event loop silent for so long is not healthy."""
BEAT_SECONDS: Final = 1.0
REST_SHARE: Final = 9
"""After a reading the exporter rests at least so many times as long as that took."""

logger = logging.getLogger(__name__)

T = TypeVar("T")
Read = Callable[[], Awaitable[Facts]]


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Seconds between two readings."""

    ledger: float = 2.0
    schedules: float = 5.0
    redis: float = 2.0
    milvus: float = 30.0
    drift: float = 60.0
    ready: float = 30.0
    """Ledgers that were read longer ago make the exporter not ready."""


class Exporter:
    """Reads and serves while ``run`` runs.

    Attributes:
        board: what was read last, for pages besides the metrics.
        settings: of this process.
        redis: a client for the exporter's loop alone; see ``call``.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        rhythm: Rhythm = Rhythm(),
    ) -> None:
        """Prepare; nothing is sent yet.

        Raises:
            UsageError: no Redis or no Milvus is configured.
        """
        self.settings = settings.model_copy(
            update={
                "redis_timeout_seconds": min(settings.redis_timeout_seconds, REDIS_SECONDS),
                "connect_timeout_seconds": min(settings.connect_timeout_seconds, REDIS_SECONDS),
            }
        )
        self.board = Board()
        self.redis: Redis = connect(self.settings)
        self.registry = CollectorRegistry()
        self.registry.register(self.board)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._rhythm = rhythm
        self._loop: asyncio.AbstractEventLoop | None = None
        self._beat_at = time.monotonic()
        self._failing: set[Section] = set()
        self._ledger_read = asyncio.Event()

    def routes(self) -> dict[tuple[str, str], Handle]:
        """Give what it serves by itself."""
        routes = standard_routes(self.registry, self.health, self.readiness)
        return {**routes, ("GET", "/metrics"): self._metrics}

    def call(self, work: Coroutine[Any, Any, T], seconds: float = REDIS_SECONDS) -> T:
        """Do work in the exporter's loop, for a thread that answers a request.

        Raises:
            TimedOutError: it took longer, and was cancelled.
        """
        if self._loop is None:
            work.close()
            raise TimedOutError("the exporter does not run")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(seconds)
        except FutureTimeoutError as error:
            future.cancel()
            raise TimedOutError(f"not done within {seconds:g} s") from error

    def health(self) -> Mapping[str, Any]:
        """Tell whether the loop lives; what ``/healthz`` shows."""
        silent = time.monotonic() - self._beat_at
        return {"ok": silent < STUCK_AFTER_SECONDS, "loop_silent_seconds": round(silent, 3)}

    def readiness(self) -> Mapping[str, Any]:
        """Tell whether what it shows is of now; what ``/readyz`` shows."""
        ages = {section.value: self.board.age_seconds(section) for section in Section}
        shown = {name: round(age, 3) for name, age in ages.items() if age != float("inf")}
        is_fresh = ages[Section.LEDGER.value] < self._rhythm.ready
        return {"ok": is_fresh and self.health()["ok"], "ages_seconds": shown}

    async def run(
        self,
        host: str,
        port: int,
        more: Mapping[tuple[str, str], Handle],
        on_port: Callable[[int], None],
    ) -> None:
        """Serve until cancelled; outages are waited out.

        Args:
            host: address to serve at.
            port: port; 0 for any free one.
            more: routes besides its own.
            on_port: told the port once it serves.

        Raises:
            UsageError: the address can't be bound.
        """
        quiet_libraries()
        self._loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.redis.aclose)
            broker = None
            if self.settings.broker_url not in {None, self.settings.redis_url}:
                broker = make_app(self.settings)
                stack.push_async_callback(asyncio.to_thread, broker.close)
            reader = MilvusReader(self.settings)
            stack.push_async_callback(reader.aclose)
            ledgers = LedgerWatch(self.redis, broker, price_of(self.settings))
            schedules, drift = ScheduleWatch(self.redis), Drift(self.redis, reader)
            door = SideDoor(host, port, {**self.routes(), **more}, setting="HEADRACE_EXPORTER_PORT")
            stack.push_async_callback(asyncio.to_thread, door.close)
            logger.info("exporter ready", extra={"event": "exporter_ready", "port": door.port})
            on_port(door.port)
            rhythm = self._rhythm
            await first_of(
                self._keep_beating(),
                self._keep(Section.LEDGER, rhythm.ledger, ledgers.read),
                self._keep(Section.SCHEDULES, rhythm.schedules, schedules.read),
                self._keep(Section.REDIS, rhythm.redis, lambda: read_redis(self.redis)),
                self._keep_after_ledger(
                    Section.MILVUS,
                    rhythm.milvus,
                    lambda: read_milvus(reader, sorted(self._ledger.collections)),
                ),
                self._keep_after_ledger(
                    Section.DRIFT, rhythm.drift, lambda: drift.look(self._documents)
                ),
            )

    @property
    def _ledger(self) -> LedgerFacts:
        facts = self.board.facts(Section.LEDGER)
        assert isinstance(facts, LedgerFacts)  # noqa: S101 - read before
        return facts

    @property
    def _documents(self) -> Mapping[tuple[str, str], int]:
        return {
            (name, source): number
            for name, found in self._ledger.collections.items()
            for source, number in found.state.documents.items()
        }

    async def _keep_beating(self) -> None:
        while True:
            self._beat_at = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)

    async def _keep_after_ledger(self, section: Section, seconds: float, read: Read) -> None:
        await self._ledger_read.wait()
        await self._keep(section, seconds, read)

    async def _keep(self, section: Section, seconds: float, read: Read) -> None:
        """Read a section again and again."""
        while True:
            begun = time.monotonic()
            try:
                with self.board.reading(section) as take, translated(self.settings):
                    async with asyncio.timeout(READ_SECONDS):
                        take(await read())
                self._failing.discard(section)
                if section is Section.LEDGER:
                    self._ledger_read.set()
            except (HeadraceError, TimeoutError) as error:
                self._tell(section, str(error) or f"not read within {READ_SECONDS:g} s")
            except Exception:
                # The others go on; the time of the last success tells of it.
                logger.exception("not read", extra={"event": "read_failed", "what": section.value})
            took = time.monotonic() - begun
            await asyncio.sleep(max(seconds - took, REST_SHARE * took))

    def _tell(self, section: Section, error: str) -> None:
        """Log a failure, once until the section can be read again."""
        if section not in self._failing:
            self._failing.add(section)
            extra = {"event": "read_failed", "what": section.value, "error": error}
            logger.warning("not read", extra=extra)

    def _metrics(self, _: Request) -> Reply:
        # As plain text whoever asks: OpenMetrics has no counter beside a gauge of its name.
        return Reply(200, CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self.registry))
