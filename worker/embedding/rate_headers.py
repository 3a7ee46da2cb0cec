"""Reads an endpoint's limits out of the headers of its answers.

The headers are OpenAI's, which others send as well: ``x-ratelimit-limit-requests``,
``x-ratelimit-limit-tokens``, and for each ``-reset-``: the time until nothing of it is in use, as
``1s``, ``6m0s`` or ``120ms``. A limit whose reset takes more than a minute is one of a day.
"""

import re
from collections.abc import Mapping

from worker.embedding.budget import Rates

_MINUTE_SECONDS = 60.0
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def advertised(headers: Mapping[str, str]) -> Rates:
    """Give the limits a minute that headers tell of; 0 for what they don't.

    Args:
        headers: of an answer; names in lower case, or a mapping that ignores case.
    """
    return Rates(_limit(headers, "requests"), _limit(headers, "tokens"))


def _limit(headers: Mapping[str, str], of: str) -> float:
    value = headers.get(f"x-ratelimit-limit-{of}", "")
    if not value.isdecimal() or not value.isascii():
        return 0.0
    reset = headers.get(f"x-ratelimit-reset-{of}", "")
    return float(value) if _seconds(reset) <= _MINUTE_SECONDS else 0.0


def _seconds(duration: str) -> float:
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _DURATION.findall(duration))
