"""Promises of texts cut into requests."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.embedding.bounds import Bounds, requests

TEXTS = st.lists(st.text(max_size=30), max_size=40)
BOUNDS = st.builds(Bounds, st.integers(1, 8), st.integers(1, 60), st.integers(1, 120))


def _bytes(text: str) -> int:
    return len(text.encode())


@given(TEXTS, BOUNDS)
def test_nothing_is_lost_and_each_request_is_within_bounds(
    texts: list[str], bounds: Bounds
) -> None:
    """In order, none empty; only a text that is too large by itself goes beyond, and alone."""
    parts = list(requests(texts, bounds, len))
    assert [text for part in parts for text in part] == texts
    assert all(parts)
    for part in parts:
        within = (
            len(part) <= bounds.inputs
            and sum(map(_bytes, part)) <= bounds.bytes
            and sum(map(len, part)) <= bounds.tokens
        )
        assert within or len(part) == 1


@given(TEXTS, BOUNDS)
def test_there_are_no_more_requests_than_needed(texts: list[str], bounds: Bounds) -> None:
    """No two neighbours would fit into one, counted in bytes, which are as many as tokens."""
    parts = list(requests(texts, bounds, _bytes))
    for one, other in itertools.pairwise(parts):
        size = sum(map(_bytes, [*one, other[0]]))
        assert len(one) + 1 > bounds.inputs or size > min(bounds.bytes, bounds.tokens)


def test_tokens_are_only_counted_where_bytes_do_not_tell() -> None:
    """Counting costs more than the rest."""

    def count(text: str) -> int:
        raise AssertionError(text)

    texts = ["a" * 100] * 50
    assert list(requests(texts, Bounds(2048, 5_000, 10_000), count)) == [texts]
    assert len(list(requests(texts, Bounds(2048, 5_000, 4_000), count))) == 2
    with pytest.raises(AssertionError, match="aaa"):
        list(requests(texts, Bounds(2048, 4_999, 10_000), count))
