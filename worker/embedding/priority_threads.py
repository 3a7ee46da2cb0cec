"""Threads that take what is urgent first."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")


class PriorityThreads(Generic[U, T]):
    """A pool of threads with two queues; safe to use from any thread. Whoever makes it closes it.

    Each call brings along one turn of the pool, and each turn takes the first call that waits,
    an urgent one if there is any.

    Args:
        call: what the threads do with each argument.
        threads: how many there are; they begin with the first calls.
        name: begins the threads' names.
    """

    def __init__(self, call: Callable[[U], T], threads: int, name: str) -> None:
        self._call = call
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._waiting: dict[bool, deque[tuple[Future[T], U]]] = {True: deque(), False: deque()}

    def submit(self, argument: U, *, urgent: bool) -> Future[T]:
        """Make a call on one of the threads; cancel the future to take it back.

        Raises:
            RuntimeError: the pool is closed.
        """
        future: Future[T] = Future()
        self._waiting[urgent].append((future, argument))
        self._pool.submit(self._take)
        return future

    def close(self) -> None:
        """Cancel the calls that wait, and wait for those that do not."""
        self._pool.shutdown(cancel_futures=True)
        for waiting in self._waiting.values():
            for future, _ in waiting:
                future.cancel()

    def _take(self) -> None:
        with self._lock:
            waiting = self._waiting[True] or self._waiting[False]
            future, argument = waiting.popleft()
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(self._call(argument))
        except BaseException as error:  # noqa: BLE001 - whoever waits for it is told
            future.set_exception(error)
