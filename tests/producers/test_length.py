"""How long parts of a text are."""

import pytest

from contract.wordpiece import wordpiece
from producers.length import ruler


def test_characters_are_code_points() -> None:
    """An emoji is one character."""
    assert ruler("aé😀", "characters", 10).length(0, 3) == 3


def test_tokens_are_wordpieces() -> None:
    """Up to the size the count is exact."""
    text = "An unaffable chunk of text, and its tokens."
    assert ruler(text, "tokens", 50).length(0, len(text)) == wordpiece().count(text)


@pytest.mark.parametrize("text", ["word " * 1000, "x" * 100_000, " " * 100_000, "漢" * 1000])
def test_what_is_too_long_is_longer_than_the_size(text: str) -> None:
    """Endless words and blanks don't pass for short, though WordPiece counts them as little."""
    measured = ruler(text, "tokens", 100)
    assert measured.length(0, len(text)) > 100
    assert measured.length(0, 100) <= 100


def test_every_character_counts() -> None:
    """Not even blanks are free."""
    assert ruler(" ", "tokens", 10).length(0, 1) == 1
    assert ruler(" ", "tokens", 10).length(0, 0) == 0
