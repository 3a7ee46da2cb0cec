"""A Redis client that waits out outages inside each call.

Every step of the ledger may be repeated, so a call is simply made again: until Redis is back,
has room again, or the patience is at its end.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
OUTAGE_FAILURES = 2
"""Of one call, after which it counts as waiting: a connection that was cut is no outage yet."""
RELOADS = 3
"""How often a pipeline loads its scripts anew: each time, Redis was restarted meanwhile."""

logger = logging.getLogger(__name__)

T = TypeVar("T")


def is_passing(error: Exception) -> bool:
    """Tell whether an error of redis-py may pass while one waits.

    Away or starting, full (``OOM``: until workers have drained it), a full disk (``MISCONF``),
    read-only after a failover.
    """
    if isinstance(error, exceptions.AuthenticationError | exceptions.AuthorizationError):
        return False
    return isinstance(
        error,
        exceptions.ConnectionError
        | exceptions.TimeoutError
        | exceptions.OutOfMemoryError
        | exceptions.ReadOnlyError
        | exceptions.TryAgainError
        | exceptions.ClusterDownError,
    ) or "MISCONF " in str(error)  # pipelines put words before it


class Patience(Retry):
    """Repeats a call for as long as its error may pass; one for all connections of a client."""

    def __init__(self, patience_seconds: float, on_trouble: Callable[[str], None]) -> None:
        """Tell ``on_trouble`` why calls wait, and "" when none of them waits any more."""
        super().__init__(NoBackoff(), -1, (exceptions.RedisError,))
        self._patience_seconds = patience_seconds
        self._on_trouble = on_trouble
        self._waiting = 0
        self._got_through = False
        self._draw = random.Random()  # noqa: S311 - jitter

    def __deepcopy__(self, _memo: dict[int, Any]) -> "Patience":
        """Be the same for every connection, so that an outage is told of once."""
        return self

    async def call_with_retry(
        self,
        do: Callable[[], Awaitable[T]],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,  # noqa: FBT001, FBT002 - redis-py's signature
    ) -> T:
        """Call until it succeeds; raises the last error when the patience is at its end."""
        begun, failures = time.monotonic(), 0
        with contextlib.ExitStack() as wait:
            while True:
                try:
                    return await do()
                except exceptions.RedisError as error:
                    failures += 1
                    await (fail(error, failures) if with_failure_count else fail(error))
                    refused = is_retryable is not None and not is_retryable(error)
                    if refused or not is_passing(error):
                        raise
                    if time.monotonic() - begun >= self._patience_seconds:
                        raise
                    if failures == OUTAGE_FAILURES:
                        wait.enter_context(self._told(str(error) or type(error).__name__))
                    await asyncio.sleep(self._pause_seconds(failures))

    def _pause_seconds(self, failures: int) -> float:
        bound = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 8))
        return bound * (0.5 + 0.5 * self._draw.random())

    @contextlib.contextmanager
    def _told(self, trouble: str) -> Iterator[None]:
        """Tell of the first call that waits, and that Redis is back when none is left.

        One that gets through before does not end it: a full Redis refuses only some. When all
        have given up, nobody knows.
        """
        self._waiting += 1
        if self._waiting == 1:
            self._got_through = False
            logger.warning("waiting for Redis", extra={"event": "redis_away", "error": trouble})
            self._on_trouble(trouble)
        try:
            yield
            self._got_through = True
        except exceptions.RedisError:
            self._got_through = False
            raise
        finally:  # who is cancelled has learnt nothing
            self._waiting -= 1
            if not self._waiting and self._got_through:
                logger.warning("Redis is back", extra={"event": "redis_back"})
                self._on_trouble("")


class ReloadingPipeline(Pipeline):
    """A pipeline of repeatable steps that survives a restart of Redis, which forgets scripts.

    redis-py makes sure of the scripts before it sends the commands, but not in the same step.
    """

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002
        """Send everything, again from the start where Redis did not know a script."""
        commands, scripts = self.command_stack, set(self.scripts)
        try:
            for _ in range(RELOADS):
                try:
                    return await super().execute(raise_on_error)
                except exceptions.NoScriptError:
                    self.command_stack, self.scripts = commands, set(scripts)
            return await super().execute(raise_on_error)
        finally:
            # Cancelled while it looks for its scripts, redis-py would keep the connection.
            await self.reset()  # type: ignore[no-untyped-call]


class Client(Redis):
    """Redis with such pipelines."""

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:  # noqa: FBT001, FBT002
        """Begin a pipeline."""
        return ReloadingPipeline(
            self.connection_pool, self.response_callbacks, transaction, shard_hint
        )
