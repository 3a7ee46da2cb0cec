"""What is made when it is first needed, and anew after a call by it was given up.

A half-open connection takes whatever is sent and never answers, and nothing on this side can
tell it from a server that is slow. So a call that did not come back takes its connection with it:
the next one goes over a new one, in whose making the server must answer.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

from contract.errors import TimedOutError

STALL_SECONDS = 2.0
"""A call that was cancelled sooner says nothing about its connection."""

T = TypeVar("T")


class Renewable(Generic[T]):
    """One thing that is used by many tasks of one event loop at once.

    Args:
        make: makes it; raises when the other side does not answer.
        close: closes it; calls that still use it fail.
        grace_seconds: how long calls that still use an old one may take. Longer than their
            time-outs: who cancels a call of another task, as gRPC does, cancels that task.
        now: a clock that does not jump.
    """

    def __init__(
        self,
        make: Callable[[], Awaitable[T]],
        close: Callable[[T], Awaitable[None]],
        grace_seconds: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._close = close
        self._grace_seconds = grace_seconds
        self._now = now
        self._current: T | None = None
        self._making = asyncio.Lock()
        self._retired: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()

    @contextlib.asynccontextmanager
    async def used(self) -> AsyncIterator[T]:
        """Give it for one call, after which it is retired if that call was given up.

        Raises:
            TransientError: it can't be made, as the other side does not answer.
        """
        thing = await self._get()
        begun = self._now()
        try:
            yield thing
        except (TimedOutError, TimeoutError):
            self._retire(thing)
            raise
        except asyncio.CancelledError:
            if self._now() - begun >= STALL_SECONDS:
                self._retire(thing)
            raise

    async def aclose(self) -> None:
        """Close all of them; not to be used after that."""
        self._ending.set()
        await asyncio.gather(*self._retired)
        if self._current is not None:
            thing, self._current = self._current, None
            await self._close(thing)

    async def _get(self) -> T:
        async with self._making:
            if self._current is None:
                self._current = await self._make()
            return self._current

    def _retire(self, thing: T) -> None:
        if thing is not self._current:
            return  # another call has done it
        self._current = None
        closing = asyncio.create_task(self._close_later(thing), name="old connection")
        self._retired.add(closing)
        closing.add_done_callback(self._retired.discard)

    async def _close_later(self, thing: T) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._grace_seconds):
                await self._ending.wait()
        await self._close(thing)
