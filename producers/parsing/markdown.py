"""The outline of Markdown (CommonMark's rules for headings, at the top level of blocks)."""

import re
from collections.abc import Iterator
from typing import Final

from producers.document import Heading, Reading
from producers.parsing.text import MAX_TITLE_CHARACTERS, as_title, line_at

# Every line that can begin a heading, end a paragraph as a setext underline, or open a block
# whose lines are no headings whatever they look like.
_MARKER: Final = re.compile(
    r"""^[ ]{0,3}(?:
        (?P<atx>\#{1,6})(?=[ \t\n]|\Z)
      | (?P<fence>`{3,}(?=[^`\n]*+$)|~{3,})
      | (?P<html><!--|<(?:pre|script|style|textarea)(?=[\s>]))
      | (?P<underline>=++|-++)[ \t]*+$
    )""",
    re.MULTILINE | re.VERBOSE | re.IGNORECASE,
)
_FRONT_MATTER: Final = re.compile(r"---[ \t]*+\n(?:.*+\n)*?(?:---|\.\.\.)[ \t]*+$", re.MULTILINE)
_FRONT_TITLE: Final = re.compile(r"^title[ \t]*+:[ \t]*+(.++)$", re.MULTILINE)
_QUOTES: Final = "\"'"

# A line that begins another block than a paragraph: a dash line below it is a thematic break.
_NO_PARAGRAPH: Final = re.compile(
    r"[ ]{0,3}(?:[-+*][ \t]|\d{1,9}[.)][ \t]|>|\||\#{1,6}[ \t])| {4}|\t"
)
_MAX_SETEXT_LINES: Final = 3
_MAX_SETEXT_CHARACTERS: Final = 3 * 2 * MAX_TITLE_CHARACTERS


def read(text: str) -> Reading:
    """Read the headings, outside of fenced code, HTML comments and front matter.

    The title is that of the front matter, else the first heading of the highest level.
    """
    front = _FRONT_MATTER.match(text)
    body = front.end() if front else 0
    outline = tuple(_headings(text, body))
    title = _front_title(front.group()) if front else None
    if title is None and outline:
        title = min(outline, key=lambda heading: heading.level).title
    return Reading(title=title, outline=outline)


def _front_title(front_matter: str) -> str | None:
    """Give the title of front matter if it is a plain or quoted YAML scalar on one line."""
    match = _FRONT_TITLE.search(front_matter)
    if match is None:
        return None
    value = match[1].strip()
    if value[:1] in _QUOTES and value[-1:] == value[:1]:
        value = value[1:-1]
    elif value[:1] in "|>&*!{[":
        return None
    return as_title(value) or None


def _headings(text: str, position: int) -> Iterator[Heading]:
    # Where the last block ended; no paragraph reaches above it.
    floor = position
    while match := _MARKER.search(text, position):
        start, position = match.start(), match.end()
        if match["atx"]:
            position = floor = _line_end(text, position)
            if title := _atx_title(line_at(text, match.end())):
                yield Heading(start, len(match["atx"]), title)
        elif match["underline"]:
            paragraph = _paragraph(text, start, floor)
            floor = position
            if paragraph is None:
                continue
            if title := as_title(text[paragraph : min(start, paragraph + _MAX_SETEXT_CHARACTERS)]):
                yield Heading(paragraph, 1 if match["underline"][0] == "=" else 2, title)
        else:
            position = floor = _block_end(text, match)


def _atx_title(rest: str) -> str:
    """Take the closing #s off, which must stand apart."""
    opened = rest.rstrip("#")
    return as_title(opened if not opened or opened[-1].isspace() else rest)


def _paragraph(text: str, end: int, floor: int) -> int | None:
    """Find the start of the paragraph whose lines end before `end`, if it is short."""
    start = end
    for _ in range(_MAX_SETEXT_LINES):
        if start <= floor:
            break
        above = text.rfind("\n", floor, start - 1) + 1 or floor
        if not line_at(text, above):
            break
        if _NO_PARAGRAPH.match(text, above):
            return None
        start = above
    else:
        if start > floor and line_at(text, text.rfind("\n", floor, start - 1) + 1 or floor):
            return None
    return start if start < end else None


def _block_end(text: str, opened: re.Match[str]) -> int:
    """Find the end of a fenced or HTML block; an open one reaches to the end of the text."""
    if fence := opened["fence"]:
        closer = re.compile(rf"^ {{0,3}}{fence[0]}{{{len(fence)},}}[ \t]*+$", re.MULTILINE)
        closed = closer.search(text, _line_end(text, opened.end()))
    else:
        tag = opened["html"].lower()
        closer = re.compile("-->" if tag == "<!--" else rf"</{tag[1:]}>", re.IGNORECASE)
        closed = closer.search(text, opened.end())
    return _line_end(text, closed.end()) if closed else len(text)


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return end if end >= 0 else len(text)
