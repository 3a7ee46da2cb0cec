"""The event loop in a thread of its own."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from worker.loop import LoopThread


@pytest.fixture
def lags() -> list[float]:
    """Take what is told of the loop's lag."""
    return []


@pytest.fixture
def loop(lags: list[float]) -> Iterator[LoopThread]:
    """Run a loop for one test."""
    loop = LoopThread(lags.append)
    yield loop
    loop.stop()


class Waiting:
    """A coroutine that waits, and tells what became of it."""

    def __init__(self) -> None:
        """Neither begun nor cancelled."""
        self.begun = threading.Event()
        self.cancelled = threading.Event()

    async def wait(self) -> None:
        """Wait for ever."""
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


def test_results_and_errors_come_back(loop: LoopThread) -> None:
    """The bridge gives what the coroutine gives, or raises what it raises."""

    async def double(number: int) -> int:
        return number * 2

    async def fail() -> None:
        raise LookupError("no")

    assert loop.run(double(21)) == 42
    with pytest.raises(LookupError, match="no"):
        loop.run(fail())


def test_who_gives_up_leaves_nothing_running(loop: LoopThread) -> None:
    """A waiting side that times out cancels the coroutine."""
    waiting = Waiting()
    with pytest.raises(TimeoutError):
        loop.run(waiting.wait(), timeout_seconds=0.05)
    assert waiting.cancelled.wait(5)


def test_everything_in_flight_can_be_cancelled(loop: LoopThread) -> None:
    """cancel_all ends all coroutines that other threads wait for, and no later one."""
    waits = [Waiting() for _ in range(3)]
    with ThreadPoolExecutor() as threads:
        futures = [threads.submit(loop.run, waiting.wait()) for waiting in waits]
        assert all(waiting.begun.wait(5) for waiting in waits)
        loop.cancel_all()
        for future in futures:
            with pytest.raises(CancelledError):
                future.result(5)
    assert loop.run(asyncio.sleep(0, "later")) == "later"


def test_a_call_comes_after_its_time(loop: LoopThread) -> None:
    """call_later works from another thread."""
    called = threading.Event()
    begun = time.monotonic()
    loop.call_later(0.05, called.set)
    assert called.wait(5)
    assert time.monotonic() - begun >= 0.05


def test_a_loop_that_is_blocked_falls_silent(loop: LoopThread, lags: list[float]) -> None:
    """Blocking the loop shows in its silence and, meanwhile, in its lag, and passes."""
    release = threading.Event()

    async def block() -> None:
        release.wait(60)

    with ThreadPoolExecutor() as threads:
        blocked = threads.submit(loop.run, block())
        try:
            until(lambda: loop.silent_seconds > 0.3)
            until(lambda: max(lags, default=0.0) >= 0.5)
        finally:
            release.set()
        blocked.result(5)
    until(lambda: loop.silent_seconds == 0.0)
    told = len(lags)
    until(lambda: len(lags) > told + 1)
    assert lags[-1] < 0.4


def until(condition: object) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + 10
    assert callable(condition)
    while not condition():
        assert time.monotonic() < deadline, "it never held"
        threading.Event().wait(0.01)


def test_stopping_cancels_what_is_left() -> None:
    """No coroutine outlives the loop, and its thread ends."""
    loop = LoopThread()
    waiting = Waiting()
    with ThreadPoolExecutor() as threads:
        future = threads.submit(loop.run, waiting.wait())
        assert waiting.begun.wait(5)
        loop.stop()
        assert waiting.cancelled.is_set()
        with pytest.raises(CancelledError):
            future.result(5)
    assert not loop._thread.is_alive()
