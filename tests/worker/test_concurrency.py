"""Promises of the limit on requests at once, and of the gate that holds it."""

import asyncio

import pytest

from worker.concurrency import Gate, Limit


def used(limit: Limit, seconds: float, times: int) -> None:
    """Let the limit hear of requests that were answered while all places were taken."""
    for _ in range(times):
        limit.succeeded(seconds, int(limit.value))


def test_it_rises_by_one_for_each_round_of_answers() -> None:
    """Additive increase: a limit of n grows by one with n answers; never above the most."""
    limit = Limit(8.0, most=10)
    used(limit, 0.1, 8)
    assert limit.value == pytest.approx(8.95, abs=0.06)
    used(limit, 0.1, 100)
    assert limit.value == 10


def test_few_requests_tell_nothing() -> None:
    """With less than half of the places taken nobody knows what the server could take."""
    limit = Limit(8.0)
    for _ in range(100):
        limit.succeeded(0.1, 3)
    assert limit.value == 8


def test_refusals_of_one_round_count_once() -> None:
    """Requests that were sent before the decrease say nothing of the limit after it."""
    limit = Limit(10.0)
    assert limit.refused(begun=1.0, now=2.0)
    assert not any(limit.refused(begun, 2.1) for begun in (1.0, 1.5, 1.9))
    assert limit.value == pytest.approx(7.0)
    assert limit.refused(begun=2.2, now=2.3)
    assert limit.value == pytest.approx(4.9)
    for at in range(3, 50):
        limit.refused(float(at), at + 0.5)
    assert limit.value == 1


def test_rising_latency_lowers_it_and_it_comes_back() -> None:
    """A server that answers five times slower than usual has too much to do."""
    limit = Limit(32.0, most=32)
    used(limit, 0.1, 300)
    used(limit, 0.5, 20)
    assert limit.value < 24
    low = limit.value
    used(limit, 0.1, 300)
    assert low < limit.value


def test_a_steady_latency_never_lowers_it() -> None:
    """Neither does one that varies by less than the tolerance."""
    limit = Limit(16.0, most=16)
    for at in range(200):
        limit.succeeded(0.1 + 0.08 * (at % 2), 16)
    assert limit.value == 16


async def _enter(gate: Gate, order: list[str], name: str, *, urgent: bool = False) -> None:
    await gate.enter(urgent=urgent)
    order.append(name)


async def test_urgent_requests_go_first_and_have_a_place_of_their_own() -> None:
    """A gate that bulk has filled lets one urgent request through, and the next before others."""
    gate = Gate(Limit(1.0))
    order: list[str] = []
    await _enter(gate, order, "bulk")
    await asyncio.wait_for(_enter(gate, order, "urgent", urgent=True), 1)
    waiting = [
        asyncio.create_task(_enter(gate, order, name, urgent=name == "next urgent"))
        for name in ("next bulk", "next urgent")
    ]
    await asyncio.sleep(0)
    gate.leave()
    gate.leave()
    await asyncio.wait_for(waiting[1], 1)
    gate.leave()
    await asyncio.wait_for(waiting[0], 1)
    assert order == ["bulk", "urgent", "next urgent", "next bulk"]
    gate.leave()
    assert gate.in_flight == 0
    assert gate.is_idle


async def test_who_gives_up_waiting_leaves_no_place_taken() -> None:
    """Neither while it waits nor in the very turn in which it is let through."""
    gate = Gate(Limit(1.0))
    await gate.enter()
    given_up, let_through = [asyncio.create_task(gate.enter()) for _ in range(2)]
    await asyncio.sleep(0)
    given_up.cancel()
    gate.leave()
    let_through.cancel()
    await asyncio.wait([given_up, let_through])
    assert gate.in_flight == 0
    await asyncio.wait_for(gate.enter(), 1)
