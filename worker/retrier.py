"""The one layer that retries: a call is made until it succeeds, is refused, or is to blame."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from contract.errors import CollectionGoneError, ThrottledError, TransientError
from worker.breaker import AbandonedError, Breaker, Dependency
from worker.outcome import Stage, Stopwatch
from worker.retry import RetryPolicy

T = TypeVar("T")

MOST_ABANDONED = 2
"""After which a call may take as long as it likes, so that slowness alone stops nothing."""


class Retrier:
    """Retries calls to servers, and waits out their outages; for one event loop.

    Args:
        policy: how often and how soon.
        breakers: one for each server that can be away; a server without one is never judged.
    """

    def __init__(self, policy: RetryPolicy, breakers: Mapping[Dependency, Breaker]) -> None:
        self.policy = policy
        self._breakers = breakers
        self._draw = random.Random()  # noqa: S311 - jitter

    @property
    def outage(self) -> str:
        """What is away, and why; empty while everything is there."""
        return "; ".join(breaker.trouble for breaker in self._breakers.values() if breaker.is_open)

    async def ready(self) -> None:
        """Wait until no breaker is open; to be called before a claim."""
        while self.outage:
            for breaker in self._breakers.values():
                await breaker.closed()

    async def call(self, stage: Stage, call: Callable[[], Awaitable[T]], watch: Stopwatch) -> T:
        """Make a call until it succeeds; outages are waited out, however long they last.

        Args:
            stage: what the call is for, which says what server it needs.
            call: makes the call; safe to repeat, also when it is unknown whether it had effect.
            watch: takes the time of each attempt (not of the waits) and counts the retries.

        Raises:
            TransientError: it failed too often, though a canary says that all servers are
                there; or it was throttled for longer than one waits with a batch in hand; or
                the collection is gone.
        """
        breaker = self._breakers.get(_dependency(stage))
        attempt, abandoned, outages = 0, 0, self._outages()
        while True:
            guard = breaker if abandoned < MOST_ABANDONED else None
            try:
                return await self._once(stage, call, watch, breaker, guard)
            except TransientError as error:
                failure = error
            watch.count_retry(stage, type(failure).__name__)
            abandoned += isinstance(failure, AbandonedError)
            if outages != self._outages():
                attempt, outages = 0, self._outages()  # it failed for a reason that is known
            attempt += 1
            delay = self.policy.delay_seconds(failure, attempt, self._draw)
            if delay is not None:
                if stage is Stage.EMBED and isinstance(failure, ThrottledError):
                    watch.throttled_seconds += delay
                await asyncio.sleep(delay)
            elif isinstance(failure, CollectionGoneError | ThrottledError):
                raise failure  # Milvus answered; the endpoint only wants fewer calls
            elif await self._all_healthy(first=breaker):
                raise failure

    async def _once(
        self,
        stage: Stage,
        call: Callable[[], Awaitable[T]],
        watch: Stopwatch,
        breaker: Breaker | None,
        guard: Breaker | None,
    ) -> T:
        if breaker is not None:
            await breaker.closed()
        with watch.measured(stage):
            async with guard.watched() if guard is not None else contextlib.nullcontext():
                return await call()

    async def _all_healthy(self, first: Breaker | None) -> bool:
        """Tell whether all servers are there; else wait for the one that is not.

        Not the stage's own alone: opening a store, say, may also need the embedding endpoint.
        """
        others = (breaker for breaker in self._breakers.values() if breaker is not first)
        for breaker in (*((first,) if first else ()), *others):
            if not await breaker.is_healthy():
                await breaker.closed()
                return False
        return True

    def _outages(self) -> int:
        return sum(breaker.outages for breaker in self._breakers.values())


def _dependency(stage: Stage) -> Dependency:
    return Dependency.EMBEDDING if stage is Stage.EMBED else Dependency.MILVUS
