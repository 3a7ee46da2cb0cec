"""Promises of the judgement whether a worker is deaf."""

import asyncio
import itertools
from collections import Counter

import pytest
from redis.asyncio import Redis

from contract.lane import Lane
from contract.queue import announce, make_app
from contract.settings import Settings
from worker.deafness import DEAF_AFTER_SECONDS, LOOK_SECONDS, Deafness, Hearing, wait_for_deafness


def look_often(
    deafness: Deafness,
    *,
    seconds: float,
    begun: float = 100.0,
    messages: int = 7,
    can_take: bool = True,
    ready: int = 1,
) -> bool:
    """Look for a while at a worker whose state does not change."""
    looks = int(seconds / LOOK_SECONDS) + 1
    return any(
        deafness.is_deaf(Hearing(messages, can_take), begun + n * LOOK_SECONDS, ready)
        for n in range(looks)
    )


def test_who_gets_nothing_for_long_while_messages_wait_is_deaf() -> None:
    """Free slots, messages in the queue, and none comes: but not before the time is over."""
    assert not look_often(Deafness(), seconds=DEAF_AFTER_SECONDS)
    assert look_often(Deafness(), seconds=DEAF_AFTER_SECONDS + 2 * LOOK_SECONDS)


@pytest.mark.parametrize("case", [{"can_take": False}, {"ready": 0}])
def test_who_can_take_nothing_or_has_nothing_to_take_is_not(case: dict[str, int]) -> None:
    """Full, draining, waiting for a server, or an empty queue."""
    assert not look_often(Deafness(), seconds=600, **case)  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"messages": 8}, {"can_take": False}, {"ready": 0}])
def test_one_sign_of_hearing_begins_it_all_again(change: dict[str, int]) -> None:
    """A message that came, or a moment without a free slot or without a message, resets."""
    deafness = Deafness()
    assert not look_often(deafness, seconds=27)
    assert not look_often(deafness, seconds=0, begun=130.0, **change)  # type: ignore[arg-type]
    messages = change.get("messages", 7)
    assert not look_often(deafness, seconds=27, begun=133.0, messages=messages)
    assert look_often(deafness, seconds=12, begun=163.0, messages=messages)


def test_a_process_that_was_stopped_is_given_time_to_hear() -> None:
    """After SIGSTOP the clock has run on, and nothing could come."""
    deafness = Deafness()
    assert not look_often(deafness, seconds=3)
    assert not look_often(deafness, seconds=27, begun=1_000.0)
    assert look_often(deafness, seconds=12, begun=1_030.0)


async def test_each_lane_is_judged_by_itself(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, redis: Redis
) -> None:
    """Bulk that waits for bulk places is no deafness, live messages that nobody takes are."""
    monkeypatch.setattr("worker.deafness.LOOK_SECONDS", 0.01)
    app = make_app(settings)
    can_take = {Lane.LIVE: True, Lane.BULK: False}
    clock = itertools.count(100.0)
    await asyncio.to_thread(announce, app, "books", ["b"])
    looks: Counter[Lane] = Counter()

    def hearing(lane: Lane) -> Hearing:
        looks[lane] += 1
        return Hearing(0, can_take[lane])

    judging = asyncio.create_task(wait_for_deafness(app, hearing, lambda: next(clock), 5.0))
    while looks[Lane.BULK] < 40:
        assert not judging.done(), "bulk has no place free"
        await asyncio.sleep(0.01)
    await asyncio.to_thread(announce, app, "books", ["l"], Lane.LIVE)
    await asyncio.wait_for(judging, 20)
    app.close()
