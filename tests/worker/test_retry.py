"""How long to wait before the next attempt."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import (
    CollectionGoneError,
    EmbeddingDeniedError,
    ThrottledError,
    TransientError,
)
from worker.retry import RetryPolicy

drawn = random.Random
POLICY = RetryPolicy(attempts=5, first_seconds=0.5, longest_seconds=10.0)


@given(attempt=st.integers(1, 4), seed=st.integers())
def test_a_wait_is_drawn_from_a_bound_that_doubles(attempt: int, seed: int) -> None:
    """Each wait lies between nothing and twice the bound of the one before, at most 10 s."""
    delay = POLICY.delay_seconds(TransientError("away"), attempt, drawn(seed))
    assert delay is not None
    assert 0 <= delay <= min(10.0, 0.5 * 2 ** (attempt - 1))


def test_waits_are_spread_out() -> None:
    """Workers that failed together do not come back together."""
    draw = drawn(1)
    delays = {POLICY.delay_seconds(TransientError("away"), 4, draw) for _ in range(50)}
    assert len(delays) == 50


@pytest.mark.parametrize("attempt", [5, 6, 100])
def test_after_the_last_attempt_it_gives_up_for_now(attempt: int) -> None:
    """A call is made no more often than the policy says."""
    assert POLICY.delay_seconds(TransientError("away"), attempt, drawn(1)) is None


@given(asked=st.floats(0, 10), seed=st.integers())
def test_a_wait_that_was_asked_for_is_obeyed(asked: float, seed: int) -> None:
    """The next attempt comes no earlier than asked, and at most a tenth later."""
    error = ThrottledError("slow down", asked)
    delay = POLICY.delay_seconds(error, 1, drawn(seed))
    assert delay is not None
    assert asked <= delay <= asked * 1.1


def test_a_long_wait_is_not_sat_out() -> None:
    """A batch that must wait long rests in the ledger instead of holding a slot."""
    error = ThrottledError("slow down", 11.0)
    assert POLICY.delay_seconds(error, 1, drawn(1)) is None
    assert POLICY.rest_seconds(error, 0) == 11.0


@pytest.mark.parametrize("error", [CollectionGoneError("dropped"), EmbeddingDeniedError("no")])
def test_what_repeating_does_not_mend_is_not_repeated(error: TransientError) -> None:
    """Opening the collection anew helps, which begins with the next claim; or another key."""
    assert POLICY.delay_seconds(error, 1, drawn(1)) is None


def test_rests_double_up_to_a_minute() -> None:
    """A batch rests longer each time that it was given back."""
    rests = [POLICY.rest_seconds(TransientError("away"), attempts) for attempts in range(9)]
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60, 60]
