"""Tests of the request rate."""

from headrace.bench.rate import RequestRate


def test_steady_rate_is_let_through() -> None:
    """Over ten minutes as many requests pass as the rate says, and one burst."""
    rate = RequestRate(120, now_seconds=0.0)
    passed = sum(rate.wait_seconds(tick / 10) == 0 for tick in range(6000))
    assert 1200 <= passed <= 1202


def test_wait_is_long_enough_and_no_longer() -> None:
    """Who comes back after the wait that was named gets through, and not before."""
    rate = RequestRate(30, now_seconds=5.0)
    assert rate.wait_seconds(5.0) == 0
    assert rate.wait_seconds(5.0) == 2.0
    assert rate.wait_seconds(6.0) == 1.0
    assert rate.wait_seconds(7.0) == 0
