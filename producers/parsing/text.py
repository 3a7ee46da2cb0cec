"""Plain text, and what the parsers of marked-up text share."""

from typing import Final

from producers.document import Reading

MAX_TITLE_CHARACTERS: Final = 200
"""A longer title is cut: it goes into every chunk below it."""

_MAX_TITLE_LINE_CHARACTERS: Final = 100


def read(text: str) -> Reading:
    """Read plain text: no outline; the first line with something in it is the title if short."""
    start = len(text) - len(text.lstrip())
    line = line_at(text, start)
    return Reading(title=line if 0 < len(line) <= _MAX_TITLE_LINE_CHARACTERS else None)


def line_at(text: str, start: int) -> str:
    """Give the line that begins at an offset, stripped, of a very long one only the beginning.

    What is asked of a line (is it blank, a title, an underline?) shows in its beginning, and
    a line of 100 MB must not be copied to find out.
    """
    end = text.find("\n", start, start + 2 * MAX_TITLE_CHARACTERS)
    return text[start : end if end >= 0 else start + 2 * MAX_TITLE_CHARACTERS].strip()


def as_title(line: str) -> str:
    """Make a line fit to stand as a title: one line, no runs of blanks, not too long."""
    return " ".join(line.split())[:MAX_TITLE_CHARACTERS].rstrip()
