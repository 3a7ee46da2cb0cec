"""Promises of the choice of lanes."""

from pathlib import Path

import pytest

from contract.lane import Lane
from contract.settings import load_settings
from producers.lanes import Lanes


def choices(number: int, **settings: object) -> str:
    """Choose for so many batches of a job: l or b for each."""
    lanes = Lanes(load_settings({}, Path("/nowhere"), **settings))
    return "".join(lanes.choose().value[0] for _ in range(number))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "llllllllbb"),
        ({"live_batches": 2}, "llbbbbbbbb"),
        ({"live_batches": 0}, "bbbbbbbbbb"),
        ({"lane": "bulk"}, "bbbbbbbbbb"),
        ({"lane": "live", "live_batches": 1}, "llllllllll"),
    ],
)
def test_lanes(settings: dict[str, object], expected: str) -> None:
    """The first batches of a job are live, unless someone chose for all of them."""
    assert choices(10, **settings) == expected


@pytest.mark.parametrize("lane", list(Lane))
def test_a_lane_is_known_by_its_queue(lane: Lane) -> None:
    """And what comes from anywhere else is bulk."""
    assert Lane.of_queue(lane.queue) is lane
    assert Lane.of_queue("elsewhere") is Lane.of_queue(None) is Lane.BULK
