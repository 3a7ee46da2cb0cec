"""A duration as an option."""

from typing import Final

import click

from contract.errors import UsageError
from headrace.duration import duration_seconds

NONE: Final = "none"


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
        try:
            seconds = round(duration_seconds(text))
        except UsageError:
            seconds = 0
        if seconds < 1:
            self.fail(f"{text!r} is no duration (30m, 12h, 30d), nor `none`", param, ctx)
        return seconds
