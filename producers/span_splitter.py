"""The recursive split of LangChain, by offsets in a text instead of strings.

It cuts where RecursiveCharacterTextSplitter cuts that keeps separators at the start of parts,
strips nothing and repeats nothing. But it measures each part once, and by its place: where
parts are measured in tokens, nearly all time would go into measuring strings.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

Span: TypeAlias = tuple[int, int]
"""Start and end in the text, in characters."""


class SpanSplitter:
    """Cuts at the first of several separators that occurs, and what is too long at the next."""

    def __init__(self, separators: Iterable[str], chunk_size: int) -> None:
        """Choose how to cut.

        Args:
            separators: regular expressions; the first that occurs in a part cuts it.
            chunk_size: the most that neighbours have which are joined again, in any unit.
        """
        self._patterns = [re.compile(separator) for separator in separators]
        self._chunk_size = chunk_size

    def spans(
        self,
        text: str,
        start: int,
        end: int,
        length: Callable[[int, int], int],
        *,
        level: int = 0,
    ) -> Iterator[Span]:
        """Cut a part of a text; laid end to end the spans are that part.

        Args:
            text: the whole text; expressions see no more of it than what they are to cut.
            start: offset in characters.
            end: likewise.
            length: measures from one offset to another; at least 1 if they differ.
            level: the first separator to try.
        """
        cuts: list[int] = []
        part = text[start:end]
        while not cuts and level < len(self._patterns):
            cuts = [start + match.start() for match in self._patterns[level].finditer(part)]
            level += 1
        del part
        cuts.append(end)
        size = self._chunk_size
        begin, total = start, 0  # of the neighbours that are joined
        for cut in cuts:
            if cut == start:
                continue  # Nothing stands before the first separator.
            units = length(start, cut)
            if total and total + units > size:
                yield begin, start
                total = 0
            if not total:
                begin = start
            if units < size:
                total += units
            elif level < len(self._patterns):
                yield from self.spans(text, start, cut, length, level=level)
            else:
                yield start, cut
            start = cut
        if total:
            yield begin, end
