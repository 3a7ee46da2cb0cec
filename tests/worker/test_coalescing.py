"""Promises of joined requests, on a server whose answers the test holds back."""

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest

from contract.errors import (
    EmbeddingRefusedError,
    HeadraceError,
    LeaseLostError,
    ThrottledError,
)
from worker.coalescing import Coalescer, Departure, Joining
from worker.concurrency import Gate, Limit

FOREVER = 3600.0


class Far:
    """A server: doubles numbers, refuses negative ones, and answers when it is told to.

    Attributes:
        requests: what was sent, in order.
        failures: raised by the next requests, one each.
    """

    def __init__(self) -> None:
        self.requests: list[list[int]] = []
        self.failures: list[HeadraceError] = []
        self.open = asyncio.Event()
        self.open.set()
        self.cancelled = 0
        self.now = 0.0

    async def send(self, items: Sequence[int]) -> list[int]:
        """Answer one request."""
        self.requests.append(list(items))
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failures:
            raise self.failures.pop(0)
        if min(items) < 0:
            raise EmbeddingRefusedError("negative")
        return [2 * item for item in items]

    async def sent(self, count: int) -> None:
        """Wait until so many requests were sent."""
        await until(lambda: len(self.requests) >= count)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.001)


def coalescer(
    far: Far,
    *,
    items: int = 4,
    wait_seconds: float = FOREVER,
    most: float = 8.0,
    observe: Callable[[Departure], None] = lambda _: None,
) -> Coalescer[int, list[int]]:
    """Make one."""
    joining = Joining(items, 1_000_000, wait_seconds)
    return Coalescer(far.send, joining, Gate(Limit(most, most=most)), observe=observe)


@pytest.fixture
def far() -> Far:
    """Give a server that answers at once."""
    return Far()


async def test_a_lone_call_leaves_at_once(far: Far) -> None:
    """Nobody waits for company while nothing is under way, however long others might."""
    joined = coalescer(far)
    async with asyncio.timeout(5):
        assert await joined.call([1, 2]) == [2, 4]
        assert await joined.call([3]) == [6]
    assert far.requests == [[1, 2], [3]]


async def test_calls_of_one_moment_travel_together_and_each_gets_its_own(far: Far) -> None:
    """Up to what fills a request, in order, and never a part of a call."""
    seen: list[Departure] = []
    joined = coalescer(far, observe=seen.append)
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*(joined.call(call) for call in ([1], [2, 3], [4, 5], [6])))
    assert answers == [[2], [4, 6], [8, 10], [12]]
    assert far.requests == [[1, 2, 3], [4, 5, 6]]
    assert [(each.items, each.calls, each.fill) for each in seen] == [(3, 2, 0.75), (3, 2, 0.75)]


async def test_while_a_request_is_under_way_others_wait_for_company(far: Far) -> None:
    """Until they fill one, or for as long as is set."""
    far.open.clear()
    joined = coalescer(far, wait_seconds=0.01)
    calls = [asyncio.create_task(joined.call([1]))]
    await far.sent(1)
    calls += [asyncio.create_task(joined.call([item])) for item in (2, 3)]
    await far.sent(2)
    calls += [asyncio.create_task(joined.call([item])) for item in (4, 5, 6, 7)]
    await far.sent(3)
    far.open.set()
    await asyncio.gather(*calls)
    assert far.requests == [[1], [2, 3], [4, 5, 6, 7]]


async def test_a_large_call_travels_alone_and_whole(far: Far) -> None:
    """It is larger than what fills a request; cutting it is its caller's affair."""
    joined = coalescer(far)
    big = list(range(10))
    async with asyncio.timeout(5):
        await asyncio.gather(joined.call(big), joined.call([1]))
    assert far.requests == [big, [1]]


async def test_at_the_gate_a_request_takes_what_comes_meanwhile(far: Far) -> None:
    """A server that is busy gets fewer, fuller requests."""
    far.open.clear()
    joined = coalescer(far, wait_seconds=0.0, most=1.0)
    calls = [asyncio.create_task(joined.call([1]))]
    await far.sent(1)
    for item in (2, 3, 4):
        calls.append(asyncio.create_task(joined.call([item])))
        await asyncio.sleep(0)
    far.open.set()
    await asyncio.gather(*calls)
    assert far.requests == [[1], [2, 3, 4]]


async def test_a_refused_request_is_taken_apart(far: Far) -> None:
    """Only whoever is to blame hears of it."""
    joined = coalescer(far)
    async with asyncio.timeout(5):
        answers = await asyncio.gather(
            *(joined.call(call) for call in ([1], [-2], [3])), return_exceptions=True
        )
    assert answers[0] == [2]
    assert isinstance(answers[1], EmbeddingRefusedError)
    assert answers[2] == [6]
    assert far.requests == [[1, -2, 3], [1], [-2], [3]]


async def test_a_failed_request_fails_for_all_and_lowers_the_limit(far: Far) -> None:
    """Each caller has an error of its own, with what the server asked for."""
    gate = Gate(Limit(8.0))
    joined = Coalescer(far.send, Joining(4, 100, FOREVER), gate)
    far.failures = [ThrottledError("slowly", 3.0)]
    async with asyncio.timeout(5):
        answers = await asyncio.gather(
            *(joined.call([item]) for item in (1, 2)), return_exceptions=True
        )
        assert await joined.call([3]) == [6]
    assert answers[0] is not answers[1]
    for answer in answers:
        assert isinstance(answer, ThrottledError)
        assert answer.retry_after_seconds == 3.0
    assert gate.limit.value < 8
    assert gate.in_flight == 0


async def test_who_fails_the_last_check_stays(far: Far) -> None:
    """The check is made right before a request leaves, also for each that is taken apart."""
    checks = 0

    def once() -> None:
        nonlocal checks
        checks += 1
        if checks > 1:
            raise LeaseLostError("lost")

    def never() -> None:
        raise LeaseLostError("lost")

    joined = coalescer(far)
    async with asyncio.timeout(5):
        answers = await asyncio.gather(
            joined.call([1], 0, never),
            joined.call([2], 0, once),
            joined.call([-3]),
            return_exceptions=True,
        )
    assert [type(answer) for answer in answers] == [
        LeaseLostError,
        LeaseLostError,
        EmbeddingRefusedError,
    ]
    assert far.requests == [[2, -3], [-3]]


async def test_a_request_that_nobody_waits_for_is_cancelled(far: Far) -> None:
    """But not one that someone still waits for; and what has not left stays."""
    far.open.clear()
    joined = coalescer(far, items=2)
    both = [asyncio.create_task(joined.call([item])) for item in (1, 2)]
    await far.sent(1)
    waiting = asyncio.create_task(joined.call([3]))
    await asyncio.sleep(0)
    for call in (both[0], waiting):
        call.cancel()
    await asyncio.wait([both[0], waiting])
    assert far.cancelled == 0
    both[1].cancel()
    await asyncio.wait(both)
    await until(lambda: far.cancelled == 1)
    far.open.set()
    async with asyncio.timeout(5):
        assert await joined.call([4]) == [8]
    assert far.requests == [[1, 2], [4]]


async def test_heavy_calls_fill_a_request_as_well(far: Far) -> None:
    """Weight is a bound of its own."""
    joined = Coalescer(far.send, Joining(100, 10, FOREVER), Gate(Limit(8.0)))
    async with asyncio.timeout(5):
        await asyncio.gather(*(joined.call([item], 4) for item in range(1, 6)))
    assert far.requests == [[1, 2], [3, 4], [5]]
