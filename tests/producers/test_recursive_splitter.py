"""LangChain's splitter, as it is used here."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_text_splitters import Language, RecursiveCharacterTextSplitter

from producers.recursive_splitter import splitter

FORMATS = ["text", "markdown", "restructuredtext"]

texts = st.lists(
    st.sampled_from(
        ["word", " ", "\n", "\n\n", "# h\n", "```\n", "T\n=\n", "Title\n=====\n", "---"]
    )
).map("".join)


@given(texts, st.integers(1, 30))
@pytest.mark.parametrize("format_name", FORMATS)
def test_its_parts_are_the_text(format_name: str, text: str, size: int) -> None:
    """Laid end to end nothing is missing, so lengths are offsets."""
    assert "".join(splitter(format_name, size, len).split_text(text)) == text


@given(texts, st.integers(1, 30))
def test_it_cuts_where_langchain_does(text: str, size: int) -> None:
    """The linear merge gives what the original gives."""
    original = RecursiveCharacterTextSplitter(
        separators=[
            separator
            for separator in RecursiveCharacterTextSplitter.get_separators_for_language(
                Language.MARKDOWN
            )
            if separator
        ],
        is_separator_regex=True,
        keep_separator="start",
        strip_whitespace=False,
        chunk_size=size,
        chunk_overlap=0,
    )
    assert splitter("markdown", size, len).split_text(text) == original.split_text(text)


def test_a_title_stays_with_its_underline() -> None:
    """LangChain's own separators would cut between them."""
    text = "Some text.\n\nTitle\n=====\n\nMore text.\n\n====\nOver\n====\n\nEnd."
    parts = [part.strip() for part in splitter("restructuredtext", 20, len).split_text(text)]
    assert parts == ["Some text.", "Title\n=====", "More text.", "====\nOver\n====", "End."]


def test_it_is_built_once() -> None:
    """The same arguments give the same object."""
    assert splitter("text", 100, len) is splitter("text", 100, len)


def test_many_short_lines_in_large_parts_take_linear_time() -> None:
    """A megabyte takes minutes with the original's merge."""
    start = time.perf_counter()
    splitter("text", 50_000, len).split_text("a\n" * 500_000)
    assert time.perf_counter() - start < 5
