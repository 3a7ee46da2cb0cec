"""A duration as an option."""

import re
from typing import Final

import click

NONE: Final = "none"
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"([1-9]\d{0,8})([smhdw])")


class Duration(click.ParamType[int]):
    """Seconds, typed as ``90s``, ``30m``, ``12h``, ``30d`` or ``4w``; ``none`` is 0."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read what was typed."""
        if isinstance(value, int):
            return value
        text = str(value).strip()
        if text == NONE:
            return 0
        found = _DURATION.fullmatch(text)
        if not found:
            self.fail(f"{text!r} is no duration (30m, 12h, 30d), nor `none`", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


def duration_text(seconds: int) -> str:
    """Write a duration as it is typed."""
    unit = next(unit for unit, size in reversed(_UNITS.items()) if seconds % size == 0)
    return f"{seconds // _UNITS[unit]}{unit}"
