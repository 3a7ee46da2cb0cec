"""What is made anew after a call by it was given up."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from contract.errors import TimedOutError, UnreachableError
from worker.renewable import STALL_SECONDS, Renewable

GRACE_SECONDS = 0.05


class Line:
    """A connection that knows whether it was closed."""

    def __init__(self) -> None:
        """Be open."""
        self.closed = asyncio.Event()

    async def close(self) -> None:
        """Be closed."""
        assert not self.closed.is_set(), "closed twice"
        self.closed.set()


class Exchange:
    """Makes lines, and has a clock."""

    def __init__(self) -> None:
        """Have made none."""
        self.made: list[Line] = []
        self.is_away = False
        self.time = 0.0
        self.renewable = Renewable(self.make, Line.close, GRACE_SECONDS, lambda: self.time)

    async def make(self) -> Line:
        """Make one, or be away."""
        await asyncio.sleep(0)
        if self.is_away:
            raise UnreachableError("away")
        self.made.append(Line())
        return self.made[-1]

    async def call(self, seconds: float = 0.0, error: BaseException | None = None) -> Line:
        """Call by a line, for so long, with this end."""
        async with self.renewable.used() as line:
            self.time += seconds
            if error is not None:
                raise error
        return line


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    """Give one."""
    exchange = Exchange()
    yield exchange
    await exchange.renewable.aclose()
    assert all(line.closed.is_set() for line in exchange.made)


async def test_all_calls_share_one(exchange: Exchange) -> None:
    """Also those that come together, and after an error that was an answer."""
    lines = await asyncio.gather(*(exchange.call() for _ in range(5)))
    with pytest.raises(UnreachableError):
        await exchange.call(seconds=60, error=UnreachableError("refused"))
    assert {*lines, await exchange.call()} == {exchange.made[0]}


@pytest.mark.parametrize("error", [TimedOutError("late"), TimeoutError()])
async def test_a_call_that_timed_out_takes_it_along(
    exchange: Exchange, error: BaseException
) -> None:
    """The next one goes by another; the old one is closed once nobody can be using it."""
    first = await exchange.call()
    with pytest.raises(type(error)):
        await exchange.call(error=error)
    assert await exchange.call() is not first
    assert not first.closed.is_set()
    await asyncio.wait_for(first.closed.wait(), 5)
    assert not exchange.made[-1].closed.is_set()


async def test_a_cancelled_call_takes_it_along_only_after_a_while(exchange: Exchange) -> None:
    """Whoever stops a worker or a job cancels calls that go well."""
    first = await exchange.call()
    with pytest.raises(asyncio.CancelledError):
        await exchange.call(STALL_SECONDS / 2, asyncio.CancelledError())
    assert await exchange.call() is first
    with pytest.raises(asyncio.CancelledError):
        await exchange.call(STALL_SECONDS, asyncio.CancelledError())
    assert await exchange.call() is not first


async def test_calls_that_hung_together_make_one_new_one(exchange: Exchange) -> None:
    """The second to be given up does not take the new one along."""

    async def hang() -> None:
        async with exchange.renewable.used():
            await hung.wait()
            raise TimedOutError("late")

    hung = asyncio.Barrier(3)
    hanging = [asyncio.create_task(hang()) for _ in range(3)]
    await asyncio.wait(hanging)
    assert all(isinstance(task.exception(), TimedOutError) for task in hanging)
    await exchange.call()
    assert len(exchange.made) == 2


async def test_what_can_not_be_made_is_tried_again(exchange: Exchange) -> None:
    """Each call says why; the first after that finds it made."""
    exchange.is_away = True
    for _ in range(2):
        with pytest.raises(UnreachableError):
            await exchange.call()
    exchange.is_away = False
    assert await exchange.call() is exchange.made[0]
