"""Promises of moments as options."""

import time
from datetime import UTC, datetime

import click
import pytest

from headrace.cli.moment import Moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-08-01", datetime(2026, 8, 1, tzinfo=UTC)),
        ("2026-08-01T12:30", datetime(2026, 8, 1, 12, 30, tzinfo=UTC)),
        ("2026-08-01T12:30+02:00", datetime(2026, 8, 1, 10, 30, tzinfo=UTC)),
    ],
)
def test_a_time_is_utc_unless_it_says_otherwise(text: str, moment: datetime) -> None:
    """The same everywhere."""
    assert Moment().convert(text, None, None) == moment.timestamp() * 1000


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("2h", 7_200), ("3d", 259_200)])
def test_an_age_counts_from_now(text: str, seconds: int) -> None:
    """So long ago."""
    assert Moment().convert(text, None, None) == pytest.approx(
        (time.time() - seconds) * 1000, abs=5_000
    )


@pytest.mark.parametrize("text", ["", "yesterday", "-2h", "2 h", "2026-13-01", "9" * 30 + "d"])
def test_anything_else_is_refused(text: str) -> None:
    """With an example of what can be typed."""
    with pytest.raises(click.BadParameter, match="2h"):
        Moment().convert(text, None, None)
