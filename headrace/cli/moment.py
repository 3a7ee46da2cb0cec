"""A moment as an option: a date and time, or an age."""

import re
import time
from datetime import UTC, datetime
from typing import Final

import click

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_AGE: Final = re.compile(r"(\d{1,9})([smhdw])")


class Moment(click.ParamType[int]):
    """Milliseconds since 1970, typed as ``2026-08-01``, ``2026-08-01T12:30`` (UTC) or ``2h``."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read what was typed."""
        if isinstance(value, int):
            return value
        text = str(value).strip()
        age = _AGE.fullmatch(text)
        if age:
            return round((time.time() - int(age[1]) * _UNITS[age[2]]) * 1000)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(
                f"{text!r} is neither a time (2026-08-01, 2026-08-01T12:30) nor an age "
                "(30m, 2h, 3d)",
                param,
                ctx,
            )
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
