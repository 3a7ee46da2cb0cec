"""Durations as they are typed."""

import click
import pytest

from headrace.cli.duration import Duration
from headrace.duration import duration_text


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [("45s", 45), ("30m", 1_800), ("12h", 43_200), ("30d", 2_592_000), ("1h30m", 5_400)],
)
def test_a_duration_is_read_and_written(typed: str, seconds: int) -> None:
    """In the units in which people write it."""
    assert Duration().convert(typed, None, None) == seconds
    assert duration_text(seconds) == typed


def test_weeks_and_fractions_are_read() -> None:
    """They are written in smaller units."""
    assert duration_text(Duration().convert("2w", None, None)) == "14d"
    assert duration_text(Duration().convert("1.5h", None, None)) == "1h30m"


def test_none_is_no_limit() -> None:
    """It takes a limit away."""
    assert Duration().convert("none", None, None) == 0


@pytest.mark.parametrize("typed", ["", "0d", "3", "-1d", "0.2s", "never"])
def test_anything_else_is_refused(typed: str) -> None:
    """With an example of what is not."""
    with pytest.raises(click.BadParameter, match="30d"):
        Duration().convert(typed, None, None)
