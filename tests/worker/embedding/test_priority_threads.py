"""Promises of the threads that take what is urgent first."""

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, wait

import pytest

from worker.embedding.priority_threads import PriorityThreads

WAIT_SECONDS = 10.0


class Line:
    """One thread, which is held by the argument ``hold`` until it is let go."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.held = threading.Event()
        self.let_go = threading.Event()
        self.threads = PriorityThreads(self.work, 1, "line")

    def work(self, name: str) -> str:
        """Note a call."""
        if name == "hold":
            self.held.set()
            assert self.let_go.wait(WAIT_SECONDS)
        if name == "fail":
            raise ValueError(name)
        self.done.append(name)
        return name.upper()


@pytest.fixture
def line() -> Iterator[Line]:
    """Give a thread that is held."""
    line = Line()
    line.threads.submit("hold", urgent=False)
    assert line.held.wait(WAIT_SECONDS)
    yield line
    line.let_go.set()
    line.threads.close()


def test_urgent_calls_overtake(line: Line) -> None:
    """They go before what waits longer, each kind in order."""
    calls = [("a", False), ("b", False), ("x", True), ("c", False), ("y", True)]
    futures = [line.threads.submit(name, urgent=urgent) for name, urgent in calls]
    line.let_go.set()
    wait(futures, WAIT_SECONDS)
    assert line.done == ["hold", "x", "y", "a", "b", "c"]
    assert [future.result(0) for future in futures] == ["A", "B", "X", "C", "Y"]


def test_a_call_can_be_taken_back_and_may_fail(line: Line) -> None:
    """What is cancelled does not happen, and what fails harms no other."""
    taken_back = line.threads.submit("a", urgent=True)
    failing = line.threads.submit("fail", urgent=True)
    last = line.threads.submit("b", urgent=False)
    assert taken_back.cancel()
    line.let_go.set()
    assert last.result(WAIT_SECONDS) == "B"
    assert line.done == ["hold", "b"]
    assert isinstance(failing.exception(0), ValueError)


def test_closing_cancels_what_waits_whoever_overtook_it(line: Line) -> None:
    """Nobody waits for ever: an urgent call that took the turn of another leaves it to be done."""
    slow = line.threads.submit("a", urgent=False)
    line.threads.submit("b", urgent=True)
    closing = threading.Thread(target=line.threads.close)
    closing.start()
    line.let_go.set()
    closing.join(WAIT_SECONDS)
    with pytest.raises(CancelledError):
        slow.result(WAIT_SECONDS)
    with pytest.raises(RuntimeError):
        line.threads.submit("late", urgent=False)
