"""Tests of the checks on vectors."""

from typing import Any

import numpy as np
import pytest

from contract.errors import EmbeddingReplyError
from worker.embedding.checks import check_vectors, order_by_index, to_array


def test_good_vectors_pass_unchanged() -> None:
    """Vectors of the right shape come back as they are, without a copy."""
    vectors = to_array([[1, 2.5], [3, 4]])
    assert vectors.dtype == np.float32
    assert check_vectors(vectors, 2, 2) is vectors
    assert check_vectors(vectors, 2, None) is vectors


def test_no_texts_need_no_vectors() -> None:
    """An empty list is right for no texts, whatever the dimension."""
    assert check_vectors(to_array([]), 0, 384).shape[0] == 0


@pytest.mark.parametrize(
    ("vectors", "dimensions", "words"),
    [
        ([[1.0, 2.0]], 2, "1 vectors for 2 texts"),
        ([[1.0, 2.0]] * 3, 2, "3 vectors for 2 texts"),
        ([[1.0, 2.0]] * 2, 3, "2 dimensions where 3"),
        ([[], []], None, "0 dimensions where at least 1"),
        ([1.0, 2.0], None, "not one vector a text"),
        ([[[1.0]], [[2.0]]], None, "not one vector a text"),
        ([[1.0, 2.0], [float("nan"), 2.0]], 2, "NaN for text 1 of 2"),
        ([[float("-inf"), 2.0], [1.0, 2.0]], 2, "NaN for text 0 of 2"),
        ([[1.0, 2.0], [1e300, 2.0]], 2, "NaN for text 1 of 2"),
        ([[1.0, 2.0], [None, 2.0]], 2, "NaN for text 1 of 2"),
        ([[1.0, 2.0], [1.0]], 2, "differ in length"),
        ([["a", "b"], ["c", "d"]], 2, "something else than numbers"),
        ([[1.0, 2.0], None], 2, "differ in length"),
        ([{}, {}], 2, "something else than numbers"),
        ([], 2, "0 vectors for 2 texts"),
    ],
)
def test_bad_vectors_are_refused(vectors: Any, dimensions: int | None, words: str) -> None:
    """What must not be stored is refused, and the message says why."""
    with pytest.raises(EmbeddingReplyError, match=words):
        check_vectors(to_array(vectors), 2, dimensions)


def test_order_follows_the_index() -> None:
    """Each text gets the position of the vector that carries its number."""
    assert order_by_index([1, 2, 0], 3) == [2, 0, 1]


@pytest.mark.parametrize("indexes", [[0], [0, 0], [0, 2], [-1, 0], [0, "1"], [False, 1], [0, None]])
def test_bad_indexes_are_refused(indexes: list[object]) -> None:
    """Missing, repeated and foreign indexes are refused."""
    with pytest.raises(EmbeddingReplyError):
        order_by_index(indexes, 2)
