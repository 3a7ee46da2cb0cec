"""The beat of an event loop: whether it lives, and how late it comes.

A loop that is blocked can't tell: a thread beside it counts the beats that do not come.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from contract.tasks import end

BEAT_SECONDS = 0.5


class Heartbeat:
    """Beats in one event loop; what it shows may be read from any thread.

    Args:
        observe: told the lateness of each beat, in seconds; of one that does not come, again
            and again, by a thread. None: there is no such thread.
        now: a clock that does not jump.
    """

    def __init__(
        self,
        observe: Callable[[float], None] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._observe = observe
        self._now = now
        self._beaten = now()
        self._ended = threading.Event()

    @property
    def silent_seconds(self) -> float:
        """How late the next beat is by now."""
        return max(0.0, self._now() - self._beaten - BEAT_SECONDS)

    async def keep_beating(self) -> None:
        """Beat until cancelled; to be run in the loop that is watched."""
        watcher = threading.Thread(target=self._watch, name="headrace-heartbeat", daemon=True)
        self._beaten = self._now()
        if self._observe is not None:
            watcher.start()
        try:
            while True:
                await asyncio.sleep(BEAT_SECONDS)
                late = self.silent_seconds
                self._beaten = self._now()
                if self._observe is not None:
                    self._observe(late)
        finally:
            self._ended.set()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Beat for as long as the block lasts."""
        beating = asyncio.create_task(self.keep_beating(), name="heartbeat")
        try:
            yield
        finally:
            await end(beating)

    def _watch(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            late = self.silent_seconds
            if late >= BEAT_SECONDS and self._observe is not None:
                self._observe(late)
