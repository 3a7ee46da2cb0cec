"""A circuit breaker for each server that a worker depends on: an outage pauses, nothing fails.

Closed, calls go through. When calls keep failing, or one does not come back, a canary, a
harmless call, says whose fault that is. If the canary fails too, the breaker opens: nobody
begins a call, and canaries are sent until one comes back (half-open, but no batch is risked).
After that everybody goes on by himself; there is nothing to reset.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from contract.errors import ThrottledError, TimedOutError
from contract.tasks import end

QUICK_SECONDS = 3.0
"""A canary that takes longer means an outage, until a patient one comes back."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 3.0
SLOW_SECONDS = 15.0
"""A call that takes longer is suspicious: a canary is sent now and then while it goes on."""
GRACE_SECONDS = 2.0
"""How long a call from before an outage may still take after it."""

logger = logging.getLogger(__name__)


class Dependency(StrEnum):
    """A server that a worker can't work without; the ledger is none, its client waits itself."""

    EMBEDDING = "embedding"
    MILVUS = "milvus"


class AbandonedError(TimedOutError):
    """A server is back from an outage, but a call from before it is not; to be made again."""


@dataclass(slots=True)
class Circuit:
    """What a breaker knows, apart from doing anything; times are handed in."""

    is_open: bool = False
    trouble: str = ""
    """Why it opened; stays readable while it is open."""
    since: float = 0.0
    outages: int = 0
    """How often it has opened."""

    def opened(self, trouble: str, now: float) -> bool:
        """Note an outage; False when it was known."""
        if self.is_open:
            return False
        self.is_open, self.trouble, self.since = True, trouble, now
        self.outages += 1
        return True

    def closed(self, now: float) -> float | None:
        """Note its end; gives how long it lasted, or None when there was none."""
        if not self.is_open:
            return None
        self.is_open, self.trouble = False, ""
        return now - self.since


def pause_seconds(failures: int) -> float:
    """Give the pause before the next canary, after so many in a row that failed (from 1)."""
    return float(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 8)))


class Breaker:
    """Tells outages of one server from faults of one batch; for one event loop.

    Args:
        dependency: which server.
        probe: sends a canary; raises when it does not come back. It has a time-out of its own,
            as long as a slow but healthy server may need.
        now: a clock that does not jump.
        on_change: told (dependency, is it open, why) each time that the breaker opens or closes.
    """

    def __init__(
        self,
        dependency: Dependency,
        probe: Callable[[], Awaitable[None]],
        now: Callable[[], float] = time.monotonic,
        on_change: Callable[[Dependency, bool, str], None] = lambda *_: None,
    ) -> None:
        self.dependency = dependency
        self._probe = probe
        self._now = now
        self._on_change = on_change
        self._circuit = Circuit()
        self._passage = asyncio.Event()
        self._passage.set()
        self._examination: asyncio.Task[bool] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._calls: dict[asyncio.Timeout, asyncio.TimerHandle] = {}

    @property
    def is_open(self) -> bool:
        """Whether the server is away, so that nobody may call it."""
        return self._circuit.is_open

    @property
    def trouble(self) -> str:
        """Why it is open; empty while it is closed."""
        return self._circuit.trouble

    @property
    def outages(self) -> int:
        """How many outages there have been; who sees it grow was no fault of his own."""
        return self._circuit.outages

    async def closed(self) -> None:
        """Wait until calls may go through."""
        await self._passage.wait()

    async def is_healthy(self) -> bool:
        """Ask the canary, one for all who ask meanwhile; opens the breaker if it fails.

        A canary that is throttled lives.
        """
        if self.is_open:
            return False
        if self._examination is None or self._examination.done():
            self._examination = asyncio.create_task(self._examine(), name=f"{self.dependency}?")
        return await asyncio.shield(self._examination)

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Watch one call: if it hangs, the canary is asked; if it outlasts an outage, it ends.

        A request that a server forgot, as it went away, would hold its batch until the
        time-out, long after the server is back.

        Raises:
            AbandonedError: the server is back, but not this call.
        """
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._suspect_later(scope)
                yield
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise AbandonedError(f"{self.dependency}: a call hung through an outage") from error
        finally:
            self._calls.pop(scope).cancel()
        self._close("a call succeeded")

    async def aclose(self) -> None:
        """Send no more canaries; who waits for the breaker must be cancelled by the caller."""
        for task in (self._watch, self._examination):
            if task is not None:
                await end(task)

    def _suspect_later(self, call: asyncio.Timeout) -> None:
        loop = asyncio.get_running_loop()
        self._calls[call] = loop.call_later(SLOW_SECONDS, self._suspect, call)

    def _suspect(self, call: asyncio.Timeout) -> None:
        self._suspect_later(call)
        if not self.is_open and (self._examination is None or self._examination.done()):
            self._examination = asyncio.create_task(self._examine(), name=f"{self.dependency}?")

    async def _examine(self) -> bool:
        trouble = await self._ask(QUICK_SECONDS)
        if trouble is None:
            return True
        self._open(trouble)
        return False

    async def _ask(self, timeout_seconds: float | None) -> str | None:
        """Send a canary; None when it lives, else what happened to it."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._probe()
        except ThrottledError:
            return None
        except TimeoutError:
            return f"{self.dependency}: no answer to a harmless call in time"
        except Exception as error:  # noqa: BLE001 - whatever it is, the canary is dead
            return str(error) or type(error).__name__
        return None

    def _open(self, trouble: str) -> None:
        if not self._circuit.opened(trouble, self._now()):
            return
        self._passage.clear()
        logger.warning(
            "outage: nothing is claimed until it is over",
            extra={
                "event": "breaker_opened",
                "dependency": self.dependency.value,
                "reason": trouble,
            },
        )
        self._on_change(self.dependency, True, trouble)  # noqa: FBT003 - its interface
        self._watch = asyncio.create_task(self._wait_for_canary(), name=f"{self.dependency} away")

    def _close(self, reason: str) -> None:
        seconds = self._circuit.closed(self._now())
        if seconds is None:
            return
        self._passage.set()
        if self._watch is not None and self._watch is not asyncio.current_task():
            self._watch.cancel()
        logger.warning(
            "outage is over",
            extra={
                "event": "breaker_closed",
                "dependency": self.dependency.value,
                "reason": reason,
                "seconds": round(seconds, 1),
            },
        )
        self._on_change(self.dependency, False, reason)  # noqa: FBT003 - its interface

    async def _wait_for_canary(self) -> None:
        """Send canaries until one comes back, then end the calls that do not.

        Impatient ones, so that a server that is back is seen soon even if it forgot one; and
        patient ones beside them, for a server that needs longer than those have.
        """
        begun_before = list(self._calls)
        senders = [
            asyncio.create_task(self._keep_asking(seconds), name=f"{self.dependency} canary")
            for seconds in (QUICK_SECONDS, None)
        ]
        try:
            await asyncio.wait(senders, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for sender in senders:
                sender.cancel()
        until = asyncio.get_running_loop().time() + GRACE_SECONDS
        for call in begun_before:
            if call in self._calls:
                call.reschedule(until)
        self._close("a canary came back")

    async def _keep_asking(self, timeout_seconds: float | None) -> None:
        failures = 0
        while await self._ask(timeout_seconds) is not None:
            failures += 1
            await asyncio.sleep(pause_seconds(failures))
