"""The recursive split by offsets is LangChain's."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.length import Unit, ruler
from producers.recursive_splitter import separators, splitter
from producers.span_splitter import SpanSplitter
from tests.producers.reference_splitting import length_function

texts = st.lists(
    st.sampled_from(
        [
            *("word", "two words, and more", " ", "\n", "\n\n", "\x0c", "é", "漢"),
            *("# h\n", "\n## two\n", "```\n", "\n***\n", "\n---\n", "\n___\n"),
            *("T\n=\n", "Title\n=====\n", "\n====\nOver\n====\n", "\nTwo\n~~~\n", "\n\n.. note::"),
        ]
    ),
    max_size=40,
).map("".join)


@settings(deadline=None, max_examples=200)
@given(texts, st.integers(1, 30), st.integers(0, 40))
@pytest.mark.parametrize("unit", ["characters", "tokens"])
@pytest.mark.parametrize("format_name", ["text", "markdown", "restructuredtext"])
def test_it_cuts_where_langchain_does(
    format_name: str, unit: Unit, text: str, size: int, start: int
) -> None:
    """In either unit, with nothing of what stands before the part that is cut."""
    start = min(start, len(text))
    parts = splitter(format_name, size, length_function(unit, size)).split_text(text[start:])
    starts = itertools.accumulate(map(len, parts), initial=start)
    spans = SpanSplitter(separators(format_name), size).spans(
        text, start, len(text), ruler(text, unit, size).length
    )
    assert list(spans) == list(itertools.pairwise(starts))
