"""The keeper of schedules: sets timers, writes runs down as they are due, and announces them.

Part of a scheduler process; any number may run at once. Everything that it does may be done twice.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from celery import Celery
from redis.asyncio import Redis

from contract.config_file import config_file
from contract.errors import TransientError
from contract.ledger.connection import translated
from contract.queue import messages_in, send
from contract.settings import Settings
from contract.tasks import first_of
from headrace.schedules import names
from headrace.schedules.book import Book
from headrace.schedules.declared import Declared
from headrace.schedules.leases import Leases
from headrace.schedules.timers import Timers

LOOK_SECONDS: Final = 1.0
SET_AGAIN_SECONDS: Final = 60.0
"""Timers are set anew, also when no schedule has changed: they may have been lost."""
FIRE_SECONDS: Final = 30.0

logger = logging.getLogger(__name__)


class Keeper:
    """Keeps schedules going while ``keep_going`` runs."""

    def __init__(
        self,
        redis: Redis,
        app: Celery,
        settings: Settings,
        on_fired: Callable[[str, float | None], None] = lambda *_: None,
    ) -> None:
        """Use a client and an app that the caller closes; ``on_fired`` as of a ``Book``."""
        self._redis = redis
        self._app = app
        self._settings = settings
        self._book = Book(redis, on_fired)
        self._leases = Leases(redis)
        self._timers = Timers(settings)
        self._something_waits = asyncio.Event()
        path = config_file(os.environ, Path.cwd())
        self._declared = Declared(self._book, path, settings.collection)
        self._revision = -1
        self._set_at = 0.0

    async def keep_going(self) -> None:
        """Go on until cancelled; outages are waited out.

        Raises:
            UsageError: a schedule can't be read, or Redis refuses the credentials.
        """
        loop = asyncio.get_running_loop()

        def on_due(name: str) -> None:
            firing = asyncio.run_coroutine_threadsafe(self._fire(name), loop)
            firing.result(FIRE_SECONDS)

        # A daemon: while another scheduler holds the lock, nothing can wake it.
        thread = threading.Thread(
            target=self._timers.keep_going, args=[on_due], name="timers", daemon=True
        )
        thread.start()
        try:
            await first_of(self._keep_setting(), self._keep_announcing())
        finally:
            self._timers.stop()

    async def set_timers(self) -> None:
        """Have a timer for each schedule that is not paused.

        Raises:
            RedisError: Redis can't be reached, or refuses.
        """
        revision = await self._book.revision()
        is_old = time.monotonic() - self._set_at > SET_AGAIN_SECONDS
        if revision == self._revision and not is_old:
            return
        entries = await self._book.entries()
        going = {
            entry.schedule.name: entry.schedule.timetable for entry in entries if not entry.paused
        }
        await asyncio.to_thread(self._timers.set_all, going)
        self._revision, self._set_at = revision, time.monotonic()

    async def announce(self) -> int:
        """Announce runs that wait and of which no message may be under way; returns how many.

        Raises:
            RedisError: Redis can't be reached, or refuses.
            UnreachableError: the broker can't be reached.
        """
        due = await self._leases.overdue()
        if not due:
            return 0
        waiting = await self._redis.zcard(names.READY)
        held = await asyncio.to_thread(messages_in, self._app, names.RUN_QUEUE)
        if held >= waiting:
            return 0
        arguments = [(run_id,) for run_id in due]
        await asyncio.to_thread(send, self._app, names.RUN_TASK, arguments, names.RUN_QUEUE)
        return len(due)

    async def _fire(self, name: str) -> None:
        outcome = await self._book.fire(name, round(time.time() * 1000))
        logger.info(
            "schedule due", extra={"event": "schedule_due", "schedule": name, "outcome": outcome}
        )
        if outcome == "waiting":
            self._something_waits.set()

    async def _keep_setting(self) -> None:
        while True:
            try:
                with translated(self._settings):
                    await self._declared.keep_up(round(time.time() * 1000))
                    await self.set_timers()
            except TransientError as error:
                self._tell("timers not set", error)
            await asyncio.sleep(LOOK_SECONDS)

    async def _keep_announcing(self) -> None:
        while True:
            try:
                with translated(self._settings):
                    await self.announce()
            except TransientError as error:
                self._tell("runs not announced", error)
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._something_waits.wait()
            except TimeoutError:
                pass
            self._something_waits.clear()

    def _tell(self, what: str, error: Exception) -> None:
        logger.warning(what, extra={"event": "schedules_delayed", "error": str(error)})
