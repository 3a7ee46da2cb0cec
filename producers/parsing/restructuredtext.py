"""The outline of reStructuredText, and the header block of Python Enhancement Proposals.

Sections as docutils knows them: a title is the first line of a paragraph, at the left margin,
with a line of one repeated punctuation mark below it, maybe also above it. Which mark means
which level is told by the order in which they come. Indented text (literal blocks, directives,
quotes) has no titles, so only lines at the left margin are looked at.
"""

import re
from collections.abc import Iterator
from typing import Final

from producers.document import JSON, Heading, Reading
from producers.parsing.text import MAX_TITLE_CHARACTERS, as_title, line_at

_ADORNMENT: Final = re.compile(
    r"^(?:(?P<border>=++(?:[ ]++=++)++)|(?P<line>(?P<mark>[!-/:-@\[-`{-~])(?P=mark)*+))[ \t]*+$",
    re.MULTILINE,
)
_SHORTEST_SLOPPY: Final = 4
"""docutils takes a shorter line than the title for an underline only from this length on."""

# What docutils takes for another kind of block before it looks for a title.
_NO_TITLE: Final = re.compile(
    r"[-*+•‣⃁][ \t]|\.\.(?:[ \t]|$)|:[^:\s][^:]*:(?:[ \t]|$)|\|[ \t]|>>>|__ "
)
_HEADER: Final = re.compile(r"PEP:[ \t]*+(?P<pep>\d{1,9})[ \t]*+\n(?:[^\n]++\n)*+", re.ASCII)
_HEADER_TITLE: Final = re.compile(r"^Title:[ \t]*+(.++(?:\n[ \t]++.++)*+)", re.MULTILINE)


def read(text: str) -> Reading:
    """Read the section titles, and `pep` and `title` of a PEP's header block.

    The title is that of the header block, else the first section's.
    """
    title: str | None = None
    metadata: dict[str, JSON] = {}
    first: tuple[Heading, ...] = ()
    header = _HEADER.match(text)
    if header:
        metadata["pep"] = int(header["pep"])
        if match := _HEADER_TITLE.search(header.group()):
            title = as_title(match[1])
            first = (Heading(0, 0, title),)
    outline = (*first, *_headings(text, header.end() if header else 0))
    return Reading(title or (outline[0].title if outline else None), outline, metadata)


def _headings(text: str, position: int) -> Iterator[Heading]:
    levels: dict[tuple[str, bool], int] = {}
    floor = position  # Where the last title's underline ended: a paragraph may begin below it.
    while match := _ADORNMENT.search(text, position):
        position = match.end()
        if match["border"]:
            if _begins_block(text, match.start(), floor):
                position = _table_end(text, match.end())
            continue
        found = _title(text, match, floor)
        if found is not None:
            start, line, overlined = found
            level = levels.setdefault((match["mark"], overlined), len(levels) + 1)
            floor = match.end()
            yield Heading(start, level, as_title(line))


def _title(text: str, underline: re.Match[str], floor: int) -> tuple[int, str, bool] | None:
    """Give start, text and overline of the title that a line underlines, if it does."""
    if underline.start() <= floor:
        return None
    start = _line_before(text, underline.start(), floor)
    # A longer line than could be a title is looked at only as far as that.
    raw = text[start : min(underline.start(), start + 2 * MAX_TITLE_CHARACTERS)]
    line, run = raw.strip(), underline["line"]
    too_short = len(run) < len(line) and len(run) < _SHORTEST_SLOPPY
    if not line or too_short or _ADORNMENT.match(line):
        return None
    above = _line_before(text, start, floor) if start > floor else start
    if above < start and text[above:start].rstrip() == run and _begins_block(text, above, floor):
        return above, line, True
    if raw[0].isspace() or _NO_TITLE.match(raw):
        return None
    return (start, line, False) if _begins_block(text, start, floor) else None


def _begins_block(text: str, start: int, floor: int) -> bool:
    """Tell whether the line at `start` has nothing above it in its paragraph."""
    if start <= floor + 1:
        return True
    return not line_at(text, _line_before(text, start, floor))


def _line_before(text: str, start: int, floor: int) -> int:
    """Give the start of the line above the one at `start`, not above `floor`."""
    return text.rfind("\n", floor, start - 1) + 1 or floor


def _table_end(text: str, position: int) -> int:
    """Find the end of a simple table: its third border, or one with a blank line below it."""
    borders = 0
    while match := _ADORNMENT.search(text, position):
        position = match.end()
        if match["border"]:
            borders += 1
            if borders == 2 or not line_at(text, position + 1):  # noqa: PLR2004 - after the first
                return position
    return len(text)
