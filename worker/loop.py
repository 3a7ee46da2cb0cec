"""One event loop in a thread of its own, and the bridge to it from Celery's threads."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from contract.heartbeat import Heartbeat

T = TypeVar("T")

THREADS = 64
"""For calls that block. Python's own number, 6 on two cores, is soon used up by calls that hang,
and then a canary waits for a thread and not for its server."""


class LoopThread:
    """An event loop that runs until it is stopped.

    Args:
        observe_lag: told how late the loop is, twice a second, from its thread or another.
    """

    def __init__(self, observe_lag: Callable[[float], None] | None = None) -> None:
        """Start the thread."""
        self._heartbeat = Heartbeat(observe_lag)
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(
            ThreadPoolExecutor(THREADS, thread_name_prefix="headrace-call")
        )
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._run, name="headrace-loop", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T], timeout_seconds: float | None = None) -> T:
        """Run a coroutine on the loop and wait for it, from another thread.

        Raises:
            TimeoutError: it took too long, and was cancelled.
        """
        future = asyncio.run_coroutine_threadsafe(self._tracked(coroutine), self._loop)
        try:
            return future.result(timeout_seconds)
        except BaseException:
            # A waiting side that gives up must not leave the coroutine running.
            future.cancel()
            raise

    def cancel_all(self) -> None:
        """Cancel everything that was given to :meth:`run`; may be called from any thread."""

        def cancel() -> None:
            for task in self._tasks:
                task.cancel()

        self._loop.call_soon_threadsafe(cancel)

    def call_later(self, seconds: float, call: Any) -> None:
        """Call something on the loop after a while; may be called from any thread."""
        self._loop.call_soon_threadsafe(self._loop.call_later, seconds, call)

    @property
    def silent_seconds(self) -> float:
        """How long ago the loop last showed a sign of life."""
        return self._heartbeat.silent_seconds

    def stop(self) -> None:
        """End the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)

    async def _tracked(self, coroutine: Coroutine[Any, Any, T]) -> T:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._tasks.add(task)
        try:
            return await coroutine
        finally:
            self._tasks.discard(task)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        beat = self._loop.create_task(self._heartbeat.keep_beating())
        self._loop.run_forever()
        beat.cancel()
        left = [task for task in asyncio.all_tasks(self._loop) if not task.done()]
        for task in left:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
