"""What happened to a batch, as a value."""

import itertools

import pytest

from worker.outcome import Ingested, Outcome, Stage, Stopwatch


def test_the_time_of_a_stage_adds_up() -> None:
    """Two goes at one stage count together, by the clock that was given."""
    ticks = itertools.chain([10.0, 10.5, 20.0, 21.0], itertools.repeat(99.0))
    watch = Stopwatch(lambda: next(ticks))
    for _ in range(2):
        with watch.measured(Stage.WRITE):
            pass
    assert watch.seconds == {Stage.WRITE: 1.5}


def test_a_stage_that_fails_is_measured_too() -> None:
    """Time lost on failures is not hidden."""
    ticks = iter([1.0, 4.0])
    watch = Stopwatch(lambda: next(ticks))
    with pytest.raises(RuntimeError), watch.measured(Stage.EMBED):
        raise RuntimeError
    assert watch.seconds == {Stage.EMBED: 3.0}


def test_retries_are_counted_by_stage_and_reason() -> None:
    """Each failed attempt counts once."""
    watch = Stopwatch()
    watch.count_retry(Stage.EMBED, "ThrottledError")
    watch.count_retry(Stage.EMBED, "ThrottledError")
    watch.count_retry(Stage.WRITE, "TimedOutError")
    assert watch.retries == {(Stage.EMBED, "ThrottledError"): 2, (Stage.WRITE, "TimedOutError"): 1}


def test_a_dropped_message_has_no_figures() -> None:
    """What was not worked on counts for nothing."""
    ingested = Ingested(Outcome.DROPPED)
    assert (ingested.chunks, ingested.documents, ingested.tokens, ingested.dead) == (0, 0, 0, ())
