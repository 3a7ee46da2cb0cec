"""Tests of the hashed bag of words."""

import numpy as np
import pytest

from headrace.bench.vectors import HashedWords

TEXTS = (
    "Structural pattern matching compares a subject with one pattern after another.",
    "The garbage collector frees objects that nothing refers to any more.",
    "A decorator is a function that returns another function.",
    "Matching of names in an import statement is done by the loader.",
)


def test_vector_depends_on_the_text_alone() -> None:
    """A text gets the same bits alone, in company, and from another instance."""
    together = HashedWords(64).embed(TEXTS)
    for row, text in enumerate(TEXTS):
        assert np.array_equal(HashedWords(64).embed([text])[0], together[row])


def test_vector_is_pinned() -> None:
    """Vectors stay the same from release to release and on every machine."""
    vector = HashedWords(12).embed(["the parsing of parsing libraries"])[0]
    pinned = [0, 0.014228, -0.524976, 0.007114, 0.318675, 0]
    pinned += [0.007114, 0, -0.007114, 0.53209, 0.220529, -0.539203]
    assert vector == pytest.approx(pinned, abs=1e-5)


@pytest.mark.parametrize("dimensions", [1, 2, 384])
def test_every_text_has_length_one(dimensions: int) -> None:
    """Any text has a unit vector: empty, without words, half a surrogate pair, very long."""
    texts = ["", "?!", "\ud800", "a", "one two three " * 1000, *map(str, range(200))]
    vectors = HashedWords(dimensions).embed(texts)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(texts)), abs=1e-5)


def test_search_ranks_texts_with_the_words_first() -> None:
    """A search for two words finds the text with both, then the text with one."""
    words = HashedWords(384)
    scores = words.embed(TEXTS) @ words.embed(["Pattern MATCHING"])[0]
    assert list(np.argsort(-scores)[:2]) == [0, 3]
