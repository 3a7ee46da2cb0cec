"""Plain text."""

import pytest

from producers.parsing.text import MAX_TITLE_CHARACTERS, as_title, line_at, read


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("\n\n  A title \n\nbody", "A title"),
        ("one line", "one line"),
        ("x" * 101 + "\nshort", None),
        ("x" * 10_000_000, None),
        (" \n\t", None),
    ],
)
def test_a_short_first_line_is_the_title(text: str, title: str | None) -> None:
    """Blank lines before it don't count, a long line is none."""
    reading = read(text)
    assert (reading.title, reading.outline) == (title, ())


def test_a_long_line_is_looked_at_in_part() -> None:
    """A line of any length gives a short answer."""
    assert len(line_at("x" * 1_000_000, 0)) == 2 * MAX_TITLE_CHARACTERS
    assert line_at("a\n b \nc", 2) == "b"


def test_a_title_is_one_short_line() -> None:
    """Runs of blanks and newlines become one blank, the rest is cut off."""
    assert as_title(" a\n  b\tc ") == "a b c"
    assert len(as_title("word " * 1000)) <= MAX_TITLE_CHARACTERS
