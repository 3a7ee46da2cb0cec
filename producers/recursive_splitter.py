"""LangChain's RecursiveCharacterTextSplitter, as it is used here."""

import functools
from collections.abc import Callable, Iterable
from typing import Final

from langchain_text_splitters import Language, RecursiveCharacterTextSplitter

_SEPARATORS: Final = ("\n\n", "\n", " ")

# LangChain's separators for reStructuredText cut between a title and its underline, and the one
# for directives ("\n\n.. *\n\n") lacks its backslashes. These cut above the title, or above its
# overline.
_RST_SEPARATORS: Final = (
    *(
        rf"\n(?<!{marks}\n)(?=(?:{marks}+\n)?[^\n]+\n{marks}{{3,}}\n)"
        for marks in ("=", "-", r"[*~^'\"`+#]")
    ),
    r"\n\n(?=\.\. )",
    *_SEPARATORS,
)


class _Splitter(RecursiveCharacterTextSplitter):
    """LangChain's splitter, linear in the number of splits that make up a part.

    The original takes the splits of a finished part off one by one, and copies the others each
    time: minutes for a few megabytes of short lines in parts of 50,000 characters. Without
    overlap there is nothing to keep. (Were the method renamed, all would be as slow as there.)
    """

    def _merge_splits(self, splits: Iterable[str], separator: str) -> list[str]:
        """Join neighbours as long as they fit."""
        merged: list[str] = []
        part: list[str] = []
        total = 0
        for split_ in splits:
            length = self._length_function(split_)
            if part and total + length > self._chunk_size:
                merged.append(separator.join(part))
                part, total = [], 0
            part.append(split_)
            total += length
        return [*merged, separator.join(part)] if part else merged


def separators(format_name: str) -> list[str]:
    """Give the regular expressions that cut a format, the coarsest first.

    Args:
        format_name: the parser's name; an unknown one is cut like plain text.
    """
    if format_name == "markdown":
        chosen = RecursiveCharacterTextSplitter.get_separators_for_language(Language.MARKDOWN)
    elif format_name == "restructuredtext":
        chosen = list(_RST_SEPARATORS)
    else:
        chosen = list(_SEPARATORS)
    # Its last resort, "", makes a list of characters and merges them one by one. A line without
    # blanks is left whole instead, for the caller to cut, many times faster.
    return [separator for separator in chosen if separator]


@functools.cache
def splitter(
    format_name: str, chunk_size: int, length: Callable[[str], int]
) -> RecursiveCharacterTextSplitter:
    """Build LangChain's splitter for a format; its parts laid end to end are the text.

    Args:
        format_name: the parser's name.
        chunk_size: the most that a part has, as `length` measures; a line without blanks stays
            whole, however long it is.
        length: measures a text.
    """
    return _Splitter(
        separators=separators(format_name),
        is_separator_regex=True,
        keep_separator="start",
        strip_whitespace=False,
        chunk_size=chunk_size,
        chunk_overlap=0,
        length_function=length,
    )
