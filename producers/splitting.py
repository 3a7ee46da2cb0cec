"""Cuts a document's text into pieces, each with its exact place and its headings.

LangChain's RecursiveCharacterTextSplitter says where to cut: asked for no overlap and no
stripping, its parts laid end to end are the text, so their lengths are the offsets. In tokens
`SpanSplitter` cuts at the same places, as strings would be measured again and again. (LangChain's
`add_start_index` searches for the part in the text, and is wrong or -1 where texts repeat or
the overlap is counted in tokens.) Overlap is then added here, so it always fits the size, is
there also between long paragraphs, and never reaches back over a heading into another section.
"""

import bisect
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from contract.errors import UsageError
from contract.settings import Settings
from producers.document import Document, Heading, Piece
from producers.length import (
    MAX_CHARACTERS_PER_UNIT,
    USUAL_CHARACTERS_PER_UNIT,
    Unit,
    ruler,
)
from producers.recursive_splitter import separators, splitter
from producers.span_splitter import Span, SpanSplitter

MAX_PIECE_BYTES: Final = 60_000
"""Of UTF-8: a VARCHAR field in Milvus holds 65,535."""

_VERSION: Final = 1
_WINDOW_CHARACTERS: Final = 1024 * 1024
_MAX_UTF8_BYTES: Final = 4  # of a character
_MAX_HEADING_INDENT: Final = 3

_WINDOW_SEPARATORS: Final = ("\n\n", "\n", " ")

# Where a text without blanks is best cut: after other white space, or a CJK stop or comma.
_BREAK: Final = re.compile(r"[\s\u3002\uff01\uff1f\uff1b\uff0c\u3001\uff0e\u2026]")
_WORD_START: Final = re.compile(r"(?<!\S)\S")
_NO_BLANK: Final = re.compile(r"\S")


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """How to cut.

    Raises:
        UsageError: the size is below 1, or the overlap negative or above half of it.
    """

    size: int = 800
    """The most units in a piece."""
    overlap: int = 80
    """The most units that a piece repeats of the one before."""
    unit: Unit = "characters"
    """Tokens are WordPiece's, without [CLS] and [SEP]."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UsageError(f"chunk size is {self.size} {self.unit}; it must be at least 1")
        if not 0 <= self.overlap <= self.size // 2:
            raise UsageError(
                f"chunk overlap is {self.overlap} {self.unit}; "
                f"it must be from 0 to half of the chunk size, {self.size // 2}"
            )

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Give what settings say."""
        return cls(settings.chunk_size, settings.chunk_overlap, settings.chunk_unit)

    @property
    def body(self) -> int:
        """The most units in a piece that it doesn't repeat."""
        return self.size - self.overlap

    @property
    def fingerprint(self) -> str:
        """Name these options and this way to cut: other pieces, other fingerprint."""
        return f"recursive-{_VERSION}:{self.size}:{self.overlap}:{self.unit}"


def split(document: Document, options: SplitOptions) -> tuple[Piece, ...]:
    """Cut a document into pieces, in the order of the text.

    Each piece is an exact part of the text without white space around it; their starts rise;
    every character but white space is in a piece; none is longer than `options.size` units
    or `MAX_PIECE_BYTES`. (In tokens, one character is the least that is cut.)
    """
    cutter = _Cutter(document.text, options)
    bodies = _under_headings(cutter.spans(document.format), document.outline)
    pieces = []
    previous = -1
    for body in cutter.folded(bodies):
        start = cutter.reach_back(body, max(body.section, previous + 1))
        pieces.append(Piece(document.text[start : body.end], start, body.path))
        previous = body.start
    return tuple(pieces)


@dataclass(frozen=True, slots=True)
class _Body:
    """What a piece has of its own, without overlap."""

    start: int
    end: int
    path: tuple[str, ...]
    section: int
    """Where the section that it starts in begins; -1 before the first heading."""

    @property
    def has_heading(self) -> bool:
        """Tell whether it begins with a heading, which may be indented."""
        return self.section >= 0 and self.start - self.section <= _MAX_HEADING_INDENT


def _under_headings(spans: Iterable[Span], outline: Sequence[Heading]) -> Iterator[_Body]:
    """Find the headings that enclose the start of each span."""
    enclosing: list[Heading] = []
    path: tuple[str, ...] = ()
    section = -1
    following = 0
    for start, end in spans:
        first = following
        while following < len(outline) and outline[following].start <= start:
            heading = outline[following]
            while enclosing and enclosing[-1].level >= heading.level:
                enclosing.pop()
            enclosing.append(heading)
            section = heading.start
            following += 1
        if following > first:
            path = tuple(heading.title for heading in enclosing)
        yield _Body(start, end, path, section)


class _Cutter:
    """One text and the options by which it is cut; all offsets are in characters."""

    def __init__(self, text: str, options: SplitOptions) -> None:
        self._text = text
        self._options = options
        self._ruler = ruler(text, options.unit, options.size)
        self._characters_per_unit = USUAL_CHARACTERS_PER_UNIT[options.unit]
        self._max_characters_per_unit = MAX_CHARACTERS_PER_UNIT[options.unit]

    def spans(self, format_name: str) -> Iterator[Span]:
        """Give the parts that fit a piece's body, without white space at their ends."""
        for window in _windows(self._text):
            end = window[0]
            for start, end in self._parts(format_name, window):
                yield from self._fitting(start, end)
            yield from self._fitting(end, window[1])  # Nothing, unless LangChain drops text.

    def _parts(self, format_name: str, window: Span) -> Iterator[Span]:
        """Give the parts into which LangChain cuts a window."""
        chunk_size = min(self._options.body, MAX_PIECE_BYTES)
        end, last = window
        if self._options.unit == "tokens":
            recursive = SpanSplitter(separators(format_name), chunk_size)
            yield from recursive.spans(self._text, end, last, self._ruler.length)
            return
        for part in splitter(format_name, chunk_size, len).split_text(self._text[end:last]):
            start, end = end, min(end + len(part), last)
            yield start, end

    def folded(self, bodies: Iterable[_Body]) -> Iterator[_Body]:
        """Join what would only be repeated (it fits the overlap) to its neighbour, where it fits.

        So no heading stands alone, and no last line of a paragraph that was cut.
        """
        held: _Body | None = None
        for body in bodies:
            if held is not None and self._belong_together(held, body):
                held = replace(held, end=body.end)
                continue
            if held is not None:
                yield held
            held = body
        if held is not None:
            yield held

    def _belong_together(self, above: _Body, below: _Body) -> bool:
        overlap = self._options.overlap
        return (
            not below.has_heading
            and (
                self._fits(above.start, above.end, overlap)
                or self._fits(below.start, below.end, overlap)
            )
            and self._fits(above.start, below.end, self._options.size)
        )

    def reach_back(self, body: _Body, floor: int) -> int:
        """Find where a piece begins that repeats what it may of the text before its body.

        Args:
            body: the piece's own text.
            floor: the least offset that is allowed.
        """
        text, start = self._text, body.start
        overlap = self._options.overlap
        limit = max(floor, start - overlap * self._max_characters_per_unit)
        if limit >= start or not text[limit:start].strip():
            return start
        room = min(overlap, self._options.size - self._ruler.length(start, body.end))
        begin = self._word_within(limit, start, room)
        if begin is None:
            begin = max(floor, start - room)  # Inside an endless word.
        if begin >= start or text[begin].isspace():
            return start
        return begin if self._fits(begin, body.end, self._options.size) else start

    def _word_within(self, limit: int, start: int, units: int) -> int | None:
        """Find the first word from which it is at most so many units to `start`.

        Returns:
            Its offset, `start` if all words begin too early, None if none begins after `limit`.
        """
        reached = self._ruler.reach(limit, start, units)
        if reached is not None:
            if match := _WORD_START.search(self._text, reached, start):
                return match.start()
            return start if _WORD_START.search(self._text, limit, start) else None
        words = [match.start() for match in _WORD_START.finditer(self._text, limit, start)]
        if not words:
            return None
        found = bisect.bisect_left(words, -units, key=lambda word: -self._ruler.length(word, start))
        return words[found] if found < len(words) else start

    def _fits(self, start: int, end: int, units: int) -> bool:
        """Tell whether a part of the text is short enough, in units and in bytes."""
        size = end - start
        if size > units * self._max_characters_per_unit:
            return False
        if size * _MAX_UTF8_BYTES > MAX_PIECE_BYTES:
            part = self._text[start:end]
            if len(part.encode()) > MAX_PIECE_BYTES:
                return False
        return self._ruler.length(start, end) <= units

    def _fitting(self, start: int, end: int) -> Iterator[Span]:
        """Give a part whole, or cut to the size of a body, without blanks at the ends."""
        while first := _NO_BLANK.search(self._text, start, end):
            start = first.start()
            cut = end if self._fits(start, end, self._options.body) else self._cut(start, end)
            last = cut
            while self._text[last - 1].isspace():
                last -= 1
            yield start, last
            start = cut

    def _cut(self, start: int, end: int) -> int:
        """Find where to cut a text that LangChain found no place to cut."""
        body = self._options.body
        cut = min(end, start + body * self._characters_per_unit)
        while cut - start > 1 and not self._fits(start, cut, body):
            cut = start + (cut - start) // 2
        middle = start + (cut - start + 1) // 2
        for match in _BREAK.finditer(self._text, middle, cut):
            cut = match.end()
        return cut


def _windows(text: str) -> Iterator[Span]:
    """Part a long text at paragraphs, lines or blanks, so that LangChain's lists stay short."""
    start = 0
    while len(text) - start > _WINDOW_CHARACTERS:
        end = start + _WINDOW_CHARACTERS
        lowest = end - _WINDOW_CHARACTERS // 4
        cuts = (text.rfind(separator, lowest, end) for separator in _WINDOW_SEPARATORS)
        cut = next((cut for cut in cuts if cut >= 0), end)
        yield start, cut
        start = cut
    yield start, len(text)
