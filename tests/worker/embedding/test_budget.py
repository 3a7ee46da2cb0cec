"""Promises of the shared budget, with a real Redis; the test plays its clock by its key's time."""

import asyncio
import time

import pytest
from redis.asyncio import Redis

from worker.embedding.budget import SHARE, Budget, Rates

FAR_BACK_MS = 3_600_000


class Waits:
    """Notes what would have been slept, and sleeps nothing."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Note it."""
        self.seconds.append(seconds)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    """Make the budget's waits visible instead of waiting."""
    waits = Waits()
    monkeypatch.setattr("worker.embedding.budget.asyncio.sleep", waits.sleep)
    return waits


async def _send(budget: Budget, tokens: float, *, urgent: bool = False, used: float = -1) -> None:
    async with budget.reserved(tokens, urgent=urgent) as reservation:
        if used >= 0:
            reservation.used = used


async def test_without_limits_redis_is_not_asked(redis: Redis, waits: Waits) -> None:
    """An endpoint without limits costs nothing."""
    for _ in range(5):
        await _send(Budget(redis, "endpoint", Rates()), 1_000_000)
    assert waits.seconds == []
    assert await redis.keys("*budget*") == []


async def test_tokens_of_all_processes_are_held_together(redis: Redis, waits: Waits) -> None:
    """Three who share an account wait for the sum of what all have taken."""
    begun = time.monotonic()
    budgets = [Budget(redis, "endpoint", Rates(0, 60_000)) for _ in range(3)]
    for budget in budgets * 4:
        await _send(budget, 5_000)
    spent = time.monotonic() - begun
    due = 12 * 5_000 / (1_000 * SHARE) - 0.5
    assert waits.seconds == sorted(waits.seconds)
    assert due - spent - 0.05 <= waits.seconds[-1] <= due + 0.05
    other = Budget(redis, "another endpoint", Rates(0, 60_000))
    await _send(other, 400)
    assert waits.seconds[-1] == 0


async def test_requests_are_held_as_well(redis: Redis, waits: Waits) -> None:
    """Whichever of the two limits is tighter counts."""
    budget = Budget(redis, "endpoint", Rates(60, 60_000_000))
    for _ in range(5):
        await _send(budget, 1)
    assert waits.seconds[-1] == pytest.approx(5 / SHARE - 0.5, abs=0.2)


async def test_what_was_not_used_is_given_back_and_more_is_taken(
    redis: Redis, waits: Waits
) -> None:
    """The endpoint's own count is what counts."""
    budget = Budget(redis, "endpoint", Rates(0, 60_000))
    await _send(budget, 10_000, used=0)
    await _send(budget, 0, used=10_000)
    assert waits.seconds[-1] == 0
    await _send(budget, 0)
    assert waits.seconds[-1] == pytest.approx(10 / SHARE - 0.5, abs=0.3)


async def test_an_urgent_request_waits_for_urgent_ones_alone(redis: Redis, waits: Waits) -> None:
    """And those that are not urgent wait for it."""
    bulk, live = (Budget(redis, "endpoint", Rates(0, 60_000)) for _ in range(2))
    for _ in range(6):
        await _send(bulk, 10_000)
    before = waits.seconds[-1]
    await _send(live, 400, urgent=True)
    assert waits.seconds[-1] == 0
    await _send(live, 5_000, urgent=True)
    assert 4 < waits.seconds[-1] < 6
    await _send(bulk, 10_000)
    assert waits.seconds[-1] == pytest.approx(before + 15.4 / SHARE, abs=0.3)


async def test_a_pause_holds_for_all_who_were_ever_refused(redis: Redis, waits: Waits) -> None:
    """The longest one counts."""
    refused, other = (Budget(redis, "endpoint", Rates()) for _ in range(2))
    await refused.refused(30.0)
    await refused.refused(5.0)
    await other.refused(None)
    for budget in (refused, other):
        await _send(budget, 1)
        assert waits.seconds[-1] == pytest.approx(30, abs=1)


async def test_limits_are_learnt_where_the_user_gave_none(redis: Redis, waits: Waits) -> None:
    """What the user gave stays."""
    budget = Budget(redis, "endpoint", Rates(100, 0))
    budget.learn(Rates(7, 60_000))
    assert budget.rates == Rates(100, 60_000)
    budget.learn(Rates())
    assert budget.rates == Rates(100, 60_000)
    assert budget.most_tokens == 10_000
    await _send(budget, 10_000)
    assert waits.seconds[-1] == pytest.approx(10 / SHARE - 0.5, abs=0.2)


async def test_who_gives_up_waiting_gives_it_back(redis: Redis) -> None:
    """A cancelled batch leaves no hole in the budget, whenever it was cancelled."""
    for steps in range(12):  # also between Redis and its answer
        budget = Budget(redis, f"endpoint {steps}", Rates(0, 60_000))
        waiting = asyncio.create_task(_send(budget, 60_000))
        for _ in range(steps):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        async with asyncio.timeout(5):
            await _send(budget, 400)
    budget = Budget(redis, "endpoint", Rates(0, 60_000))
    before = set(await redis.keys("*budget*"))
    waiting = asyncio.create_task(_send(budget, 60_000))
    async with asyncio.timeout(5):
        while not set(await redis.keys("*budget*")) - before:  # noqa: ASYNC110 - Redis tells
            await asyncio.sleep(0.001)
    waiting.cancel()
    await asyncio.wait([waiting])
    async with asyncio.timeout(5):
        await _send(budget, 400)


async def test_one_request_of_a_process_waits_at_a_time(redis: Redis) -> None:
    """So that others get their turn: what waits behind it has reserved nothing yet."""
    greedy, small = (Budget(redis, "endpoint", Rates(0, 6_000_000)) for _ in range(2))
    await _send(greedy, 50_000)
    crowd = [asyncio.create_task(_send(greedy, 100_000)) for _ in range(50)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await _send(small, 1_000)
    assert sum(task.done() for task in crowd) <= 2
    for task in crowd:
        task.cancel()
    await asyncio.wait(crowd)


async def test_waits_are_told(redis: Redis, waits: Waits) -> None:
    """Each that is slept, before it begins; none where there is none."""
    told: list[float] = []
    budget = Budget(redis, "endpoint", Rates(0, 60_000), told.append)
    for _ in range(3):
        await _send(budget, 5_000)
    assert told == [seconds for seconds in waits.seconds if seconds]
    assert told
