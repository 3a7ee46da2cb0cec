"""Durations as people write them."""

import re
from typing import Final

from contract.errors import UsageError

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])")


def duration_seconds(text: str) -> float:
    """Read a duration such as ``90s``, ``15m``, ``1h30m``, ``2d`` or ``1w``.

    Raises:
        UsageError: it is none.
    """
    parts = _DURATION.findall(text.strip().lower())
    if not parts or "".join(a + b for a, b in parts) != text.strip().lower().replace(" ", ""):
        raise UsageError(f"{text!r} is no duration: write 90s, 15m, 1h30m, 2d or 1w")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def duration_text(seconds: float) -> str:
    """Write a duration as ``duration_seconds`` reads it."""
    parts = []
    left = seconds
    for unit in "dhm":
        number, left = divmod(left, _UNITS[unit])
        if number:
            parts.append(f"{number:g}{unit}")
    if left or not parts:
        parts.append(f"{left:g}s")
    return "".join(parts)
