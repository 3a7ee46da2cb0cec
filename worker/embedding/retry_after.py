"""Reads how long a server asks to wait."""

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime


def retry_after_seconds(headers: Mapping[str, str], now_seconds: float) -> float | None:
    """Give what ``retry-after-ms`` or ``retry-after`` (seconds or an HTTP date) asks for.

    Args:
        headers: headers of an answer; names in lower case, or a mapping that ignores case.
        now_seconds: Unix time, for dates.

    Returns:
        Seconds from now, 0 for a date that has passed, or None if nothing readable is asked for.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now_seconds)
    except (ValueError, OverflowError):
        return None


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
