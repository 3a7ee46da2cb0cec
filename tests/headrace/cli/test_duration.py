"""Durations as they are typed."""

import click
import pytest

from headrace.cli.duration import Duration, duration_text


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [("90s", 90), ("30m", 1_800), ("12h", 43_200), ("30d", 2_592_000), ("2w", 1_209_600)],
)
def test_a_duration_is_read_and_written(typed: str, seconds: int) -> None:
    """In the largest unit that fits."""
    assert Duration().convert(typed, None, None) == seconds
    assert duration_text(seconds) == typed


def test_none_is_no_limit() -> None:
    """It takes a limit away."""
    assert Duration().convert("none", None, None) == 0


@pytest.mark.parametrize("typed", ["", "0d", "3", "-1d", "1.5h", "never"])
def test_anything_else_is_refused(typed: str) -> None:
    """With an example of what is not."""
    with pytest.raises(click.BadParameter, match="30d"):
        Duration().convert(typed, None, None)
