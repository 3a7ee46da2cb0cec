"""Promises of the limits that an endpoint's headers tell of."""

import pytest

from worker.embedding.budget import Rates
from worker.embedding.rate_headers import advertised


@pytest.mark.parametrize(
    ("headers", "rates"),
    [
        ({}, Rates()),
        (
            {
                "x-ratelimit-limit-requests": "5000",
                "x-ratelimit-reset-requests": "12ms",
                "x-ratelimit-limit-tokens": "1000000",
                "x-ratelimit-reset-tokens": "6.5s",
            },
            Rates(5000, 1_000_000),
        ),
        ({"x-ratelimit-limit-tokens": "9000"}, Rates(0, 9000)),
        ({"x-ratelimit-limit-requests": "200", "x-ratelimit-reset-requests": "7m12s"}, Rates()),
        ({"x-ratelimit-limit-requests": "200", "x-ratelimit-reset-requests": "1m0s"}, Rates(200)),
        ({"x-ratelimit-limit-requests": "-1", "x-ratelimit-limit-tokens": "many"}, Rates()),
        ({"x-ratelimit-limit-tokens": "٣"}, Rates()),
    ],
)
def test_limits_are_read(headers: dict[str, str], rates: Rates) -> None:
    """Those of a minute; what can't be read, or is of a day, is no limit."""
    assert advertised(headers) == rates
