"""Deafness: a worker lives, but no message reaches it any more.

Celery's consumer on Redis has stopped listening after a reconnect more than once, in ever new
ways, and its main thread may hang for good in a call without an answer. So the worker judges
from outside: the broker holds messages, places for them are free, and nothing comes.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from celery import Celery

from contract.errors import TransientError
from contract.lane import Lane
from contract.queue import ready_messages

DEAF_AFTER_SECONDS = 30.0
"""Above the 21 s in which a half-open connection is found and replaced."""
LOOK_SECONDS = 3.0
LONGEST_GAP_SECONDS = 3 * LOOK_SECONDS
"""Between two looks; a process that was stopped for longer has not been listening at all."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hearing:
    """What a worker knows about one of its lanes at one moment."""

    messages: int
    """How many have come since its start."""
    can_take: bool
    """Whether it would begin a message at once."""


class Deafness:
    """Judges one lane from looks that follow each other; pure."""

    def __init__(self, after_seconds: float = DEAF_AFTER_SECONDS) -> None:
        """Begin with good ears."""
        self._after_seconds = after_seconds
        self._messages = -1
        self._since: float | None = None
        self._looked = 0.0

    def is_deaf(self, hearing: Hearing, now: float, ready: int) -> bool:
        """Judge one more look.

        Args:
            hearing: what the worker knows.
            now: a clock that does not jump, in seconds.
            ready: messages that the broker holds for anyone who asks.
        """
        paused = now - self._looked > LONGEST_GAP_SECONDS
        heard = hearing.messages != self._messages
        self._messages, self._looked = hearing.messages, now
        if heard or paused or not hearing.can_take or not ready:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= self._after_seconds


async def wait_for_deafness(
    app: Celery,
    hearing: Callable[[Lane], Hearing],
    now: Callable[[], float],
    after_seconds: float = DEAF_AFTER_SECONDS,
) -> None:
    """Return when the worker is deaf in a lane.

    While the broker can't be asked nothing is judged: then no message could come.

    Args:
        app: names the broker.
        hearing: what the worker knows of a lane now.
        now: a clock that does not jump, in seconds.
        after_seconds: how long nothing may come.
    """
    lanes = {lane: Deafness(after_seconds) for lane in Lane}
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        ready: Mapping[Lane, int] = {}
        if any(hearing(lane).can_take for lane in lanes):
            try:
                ready = await asyncio.to_thread(ready_messages, app)
            except TransientError as error:
                logger.warning(
                    "queue not read", extra={"event": "look_failed", "error": str(error)}
                )
        for lane, deafness in lanes.items():
            if deafness.is_deaf(hearing(lane), now(), ready.get(lane, 0)):
                logger.error(
                    "deaf: messages wait and none comes",
                    extra={"event": "deaf", "lane": lane.value, "ready": ready[lane]},
                )
                return
