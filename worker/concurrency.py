"""How many requests one process may have at a server at once: found out, not configured.

Two well-known rules in one. A server that says no (429, a quota) or breaks down halves things,
nearly: multiplicative decrease, at most once a round trip, and additive increase after it (D.-M.
Chiu and R. Jain, 1989). A server that only gets slower as more is sent is seen by its latency: a
long average is compared with the newest, and the limit follows their ratio (Gradient2 of
Netflix' concurrency-limits).
"""

import asyncio
from collections import deque
from dataclasses import dataclass

DECREASE = 0.7
"""Of the limit, after a refusal."""
TOLERANCE = 2.0
"""Latencies up to so many times the long average are no sign of a full server."""
SMOOTHING = 0.2
LONG_WINDOW = 200
"""Requests in the long average of latencies."""
RESERVED = 1
"""Places beyond the limit that only urgent requests may take."""


@dataclass(slots=True)
class Limit:
    """The limit as arithmetic; times are handed in.

    Attributes:
        value: requests at once; its whole part counts.
        least: it never falls below this.
        most: nor rises above this.
    """

    value: float
    least: float = 1.0
    most: float = 64.0
    _long_seconds: float = 0.0
    _decreased: float = float("-inf")
    """When it was decreased last."""

    def succeeded(self, seconds: float, in_flight: int) -> None:
        """Learn from a request that was answered.

        Args:
            seconds: how long it took.
            in_flight: requests at the server as it ended, itself among them; few of them tell
                nothing of what the server could take.
        """
        long = self._long_seconds
        long = seconds if not long else long + (seconds - long) * 2 / (LONG_WINDOW + 1)
        if seconds * TOLERANCE < long:
            long *= 0.95  # after a slow time it comes down sooner
        self._long_seconds = long
        if in_flight * 2 < int(self.value):
            return
        gradient = min(1.0, max(0.5, TOLERANCE * long / seconds)) if seconds > 0 else 1.0
        if gradient < 1.0:
            aim = self.value * gradient + 1
            self.value += (aim - self.value) * SMOOTHING
        else:
            self.value += 1 / self.value
        self.value = min(self.most, max(self.least, self.value))

    def refused(self, begun: float, now: float) -> bool:
        """Decrease, unless the request began before the last decrease; tells whether it did."""
        if begun < self._decreased:
            return False
        self._decreased = now
        self.value = max(self.least, self.value * DECREASE)
        return True


class Gate:
    """Lets requests through up to a limit; urgent ones first. For one event loop.

    Attributes:
        limit: may be changed at any time by what is learnt.
        in_flight: requests that are through and not back.
    """

    def __init__(self, limit: Limit) -> None:
        """Begin open."""
        self.limit = limit
        self.in_flight = 0
        self._waiting: dict[bool, deque[asyncio.Future[None]]] = {True: deque(), False: deque()}

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way and nobody waits."""
        return not self.in_flight and not any(self._waiting.values())

    async def enter(self, *, urgent: bool = False) -> None:
        """Wait for one's turn; every entry is followed by one ``leave``."""
        if self._has_room(urgent=urgent) and not self._waiting[True]:
            self.in_flight += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting[urgent].append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # it was let through at this very moment
            raise

    def leave(self) -> None:
        """Make room for the next."""
        self.in_flight -= 1
        for urgent in (True, False):
            waiting = self._waiting[urgent]
            while waiting and self._has_room(urgent=urgent):
                turn = waiting.popleft()
                if not turn.done():
                    self.in_flight += 1
                    turn.set_result(None)

    def _has_room(self, *, urgent: bool) -> bool:
        return self.in_flight < max(1, int(self.limit.value)) + (RESERVED if urgent else 0)
