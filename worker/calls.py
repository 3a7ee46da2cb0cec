"""Calls to servers on behalf of one batch: limited, retried, measured, judged."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.exceptions import RedisError

from contract.errors import (
    CollectionGoneError,
    HeadraceError,
    PermanentError,
    ThrottledError,
    TimedOutError,
    TransientError,
)
from worker.outcome import Stage, Stopwatch
from worker.retrier import Retrier
from worker.retry import MAX_ATTEMPTS

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Calls:
    """Makes the calls of one batch, and tells whose fault it is when they fail.

    Args:
        retrier: retries, and waits out outages.
        watch: takes the times.
        timeout_seconds: for one attempt at one call: the net under the calls' own time-outs.
        attempts: how often the batch failed, and was given back, before.
    """

    def __init__(
        self, retrier: Retrier, watch: Stopwatch, timeout_seconds: float, attempts: int
    ) -> None:
        self.watch = watch
        self._retrier = retrier
        self._timeout_seconds = timeout_seconds
        self._attempts = attempts

    async def make(self, stage: Stage, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call until it succeeds, is refused, or has failed too often for now.

        Raises:
            TransientError: it failed too often, or failed in a way that nobody thought of.
        """

        async def attempt() -> T:
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    return await call()
            except TimeoutError as error:
                limit = f"{self._timeout_seconds:g} s"
                raise TimedOutError(f"{stage.value} took longer than {limit}") from error
            except (HeadraceError, RedisError):
                raise
            except Exception as error:
                logger.exception("call failed", extra={"event": "call_failed", "stage": stage})
                raise TransientError(f"{stage.value} failed: {type(error).__name__}") from error

        return await self._retrier.call(stage, attempt, self.watch)

    def blames(self, error: HeadraceError) -> bool:
        """Tell whether the batch is to blame: it is refused, or failed too often by itself."""
        if isinstance(error, TransientError):
            worn_out = self._attempts >= MAX_ATTEMPTS
            return worn_out and not isinstance(error, ThrottledError | CollectionGoneError)
        return isinstance(error, PermanentError)
