"""How long a text is."""

import pytest

from contract.wordpiece import wordpiece
from producers.length import length_function


def test_characters_are_code_points() -> None:
    """An emoji is one character."""
    assert length_function("characters", 10)("aé😀") == 3


def test_tokens_are_wordpieces() -> None:
    """Up to the size the count is exact, also the second time."""
    length = length_function("tokens", 50)
    text = "An unaffable chunk of text, and its tokens."
    assert length(text) == length(text) == wordpiece().count(text)


@pytest.mark.parametrize("text", ["word " * 1000, "x" * 100_000, " " * 100_000, "漢" * 1000])
def test_what_is_too_long_is_longer_than_the_size(text: str) -> None:
    """Endless words and blanks don't pass for short, though WordPiece counts them as little."""
    assert length_function("tokens", 100)(text) > 100
    assert length_function("tokens", 100)(text[:100]) <= 100


def test_every_character_counts() -> None:
    """Not even blanks are free."""
    assert length_function("tokens", 10)(" ") == 1
    assert length_function("tokens", 10)("") == 0
