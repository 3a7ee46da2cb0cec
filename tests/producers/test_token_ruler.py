"""Tokens by offsets are those of the strings."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.wordpiece import wordpiece
from producers import token_ruler as module
from producers.length import ruler
from producers.token_ruler import TokenRuler
from tests.producers.reference_splitting import length_function

BLOCK = module._BLOCK_CHARACTERS
BUSY = "ab Z9.,é中、\n\t\x00\x0b\x1c\x85\xa0\u3000\u0301\ud800\U0001f600\U00020000[かがﬁ豈"
busy_texts = st.text(st.sampled_from(BUSY), max_size=60)
any_texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=80)
long_words = st.lists(st.sampled_from(["ab" * 40, "é" * 70, " ", "\x00", "x", "."])).map("".join)
texts = st.one_of(busy_texts, any_texts, long_words, st.tuples(busy_texts, long_words).map("".join))


@settings(deadline=None, max_examples=300)
@given(texts, st.integers(1, 40), st.data())
def test_any_part_is_as_long_as_its_string(text: str, size: int, data: st.DataObject) -> None:
    """Also parts that begin or end inside of words, and what is longer than the size."""
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    expected = length_function("tokens", size)(text[start:end])
    assert TokenRuler(text, size).length(start, end) == expected


@settings(deadline=None, max_examples=100)
@given(texts, st.integers(1, 7), st.data())
def test_the_border_of_a_block_is_invisible(text: str, block: int, data: st.DataObject) -> None:
    """A text is measured alike in blocks of any size."""
    start = data.draw(st.integers(0, len(text)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK_CHARACTERS", block)
        measured = TokenRuler(text, 1000).length(start, len(text))
    assert measured == TokenRuler(text, 1000).length(start, len(text))


def test_each_kind_of_character_is_what_wordpiece_makes_of_it() -> None:
    """Blanks part words and are nothing, single ones are a token each, alone and in a word."""
    count = wordpiece().count
    for code, kind in enumerate(module._KINDS.tolist()):
        if kind == module._BLANK:
            assert count(f"a{chr(code)}a") == 2, hex(code)
        elif kind == module._SINGLE:
            assert count(chr(code)) == 1, hex(code)
            assert count(f"a{chr(code)}a") == 3, hex(code)
            assert count(f"\u0301{chr(code)}\u0301") == 1, hex(code)


def test_white_space_is_a_blank_or_known_to_be_dropped() -> None:
    """Nothing else begins a word, so that only there it must be looked at more closely."""
    for code, kind in enumerate(module._KINDS.tolist()):
        dropped = module._DROPPED_BLANK.match(chr(code)) is not None
        assert chr(code).isspace() == (kind == module._BLANK or dropped), hex(code)
        assert (module._APART.match(chr(code)) is None) == (kind == module._WORD), hex(code)


@settings(deadline=None)
@given(busy_texts, st.integers(-1, 6), st.data())
def test_reaching_back_parts_the_words(text: str, units: int, data: st.DataObject) -> None:
    """From there on all words are near enough, before it none."""
    start = data.draw(st.integers(0, len(text)))
    limit = data.draw(st.integers(0, start))
    length = length_function("tokens", 1000)
    reached = TokenRuler(text, 1000).reach(limit, start, units)
    if reached is None:
        return
    assert limit <= reached <= start
    for word in range(limit, start):
        if not text[word].isspace() and (word == 0 or text[word - 1].isspace()):
            assert (length(text[word:start]) <= units) == (word >= reached)


@pytest.mark.parametrize("block", ["word ", "é ", "漢", " ", ".", "\n"])
def test_memory_is_bounded_by_the_text(block: str) -> None:
    """Four bytes a character, and what a block takes."""
    text = block * (2_000_000 // len(block))
    ruler("", "tokens", 200)
    tracemalloc.start()
    try:
        assert TokenRuler(text, 200).length(0, len(text)) > 200
        assert tracemalloc.get_traced_memory()[1] < 4 * len(text) + 12_000_000
    finally:
        tracemalloc.stop()


def test_the_cache_is_bounded() -> None:
    """Neither many words nor long words make it grow for ever."""
    cache = module._word_tokens()
    TokenRuler(" ".join(f"{number}zq" for number in range(module._CACHED_WORDS + 100)), 200)
    TokenRuler("zq" * 40, 200)
    assert 0 < len(cache) <= module._CACHED_WORDS
    assert max(map(len, cache)) <= module._CACHED_WORD_BYTES
