"""Tests of the rate."""

from headrace.bench.rate import Rate


def _passed(rate: Rate, now_seconds: float, amount: float = 1.0) -> bool:
    if rate.wait_seconds(now_seconds, amount) > 0:
        return False
    rate.take(amount)
    return True


def test_steady_rate_is_let_through() -> None:
    """Over ten minutes as many requests pass as the rate says, and one burst."""
    rate = Rate(120, now_seconds=0.0)
    passed = sum(_passed(rate, tick / 10) for tick in range(6000))
    assert 1200 <= passed <= 1202


def test_wait_is_long_enough_and_no_longer() -> None:
    """Who comes back after the wait that was named gets through, and not before."""
    rate = Rate(30, now_seconds=5.0)
    assert _passed(rate, 5.0)
    assert rate.wait_seconds(5.0) == 2.0
    assert rate.wait_seconds(6.0) == 1.0
    assert _passed(rate, 7.0)


def test_large_amounts_pass_a_full_bucket_and_are_paid_off() -> None:
    """Over ten minutes no more passes than the rate says, and one of them."""
    rate = Rate(600, now_seconds=0.0)
    passed = sum(_passed(rate, tick / 10, 45.0) for tick in range(6000))
    assert 132 <= passed <= 134
