"""Tests of the faults."""

import pytest

from headrace.bench.faults import Faults


def test_status_alone_is_for_one_request() -> None:
    """A status without a number of requests strikes once."""
    faults = Faults().changed({"status": 503})
    assert [faults.take_status(), faults.take_status()] == [503, None]


def test_changing_keeps_the_rest() -> None:
    """What is not named stays as it is."""
    faults = Faults(latency_seconds=0.5, nan=True).changed({"hang_requests": 2})
    assert faults == Faults(latency_seconds=0.5, nan=True, hang_requests=2)


@pytest.mark.parametrize(
    "values",
    [
        {"latency": 1},
        {"latency_seconds": -1},
        {"latency_seconds": True},
        {"status": 200},
        {"drop_requests": 1.5},
        {"nan": 1},
        {"refuse_marker": ""},
        {"max_in_flight": 0},
    ],
)
def test_wrong_values_are_refused(values: dict[str, object]) -> None:
    """A misspelt or senseless fault is named, not swallowed."""
    with pytest.raises(ValueError, match=next(iter(values))):
        Faults().changed(values)
