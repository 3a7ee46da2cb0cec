"""WordPiece gives the ids of BERT's own tokenizer, for any text, in bounded memory."""

import json
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract import wordpiece as module
from contract.wordpiece import WordPiece, wordpiece

CLS, SEP, UNK = 101, 102, 100
BLOCK = module._BLOCK_CHARACTERS
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=200)
BUSY_TEXT = st.text(st.sampled_from("ab Z9.é中\n\x00\u0301\ud800[]#"), max_size=60)


class Golden(TypedDict):
    """A text and the ids that the tokenizer of the model's authors gives it."""

    text: str
    ids: list[int]


def read_golden() -> list[Golden]:
    """Read what the package ``tokenizers`` gave for the model's own tokenizer.json."""
    path = Path(__file__).parents[1] / "golden" / "wordpiece.json"
    golden: list[Golden] = json.loads(path.read_text("utf-8"))
    return golden


def fresh() -> WordPiece:
    """Give a tokenizer with nothing cached."""
    tokenizer = WordPiece(wordpiece()._ids)
    assert tokenizer is not wordpiece()
    return tokenizer


def test_every_golden_text_has_the_ids_of_the_reference_tokenizer() -> None:
    """Scripts, accents, emoji, code and control characters come out as in the reference."""
    golden = read_golden()
    assert len(golden) >= 190
    assert [wordpiece().encode(entry["text"]) for entry in golden] == [
        entry["ids"] for entry in golden
    ]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", []),
        ("Hello, World!", [7592, 1010, 2088, 999]),
        ("unaffable", [14477, 20961, 3468]),
        ("Café ΣΑΣ", [7668, 1173, 14608, 29733]),
        ("x" * 101, [UNK]),
        ("[SEP]", [1031, 19802, 1033]),
        ("ab\U0002b821cd", [UNK]),
    ],
)
def test_known_texts(text: str, ids: list[int]) -> None:
    """Some texts, among them a literal special token, have the ids written down here."""
    assert wordpiece().encode(text) == [CLS, *ids, SEP]


def test_the_vocabulary_is_whole() -> None:
    """The shipped vocabulary has BERT's 30522 entries, and is read once."""
    assert len(wordpiece()._ids) == 30_522
    assert wordpiece() is wordpiece()


@settings(deadline=None)
@given(ANY_TEXT | BUSY_TEXT, st.integers(2, 40))
def test_truncation_gives_a_prefix(text: str, limit: int) -> None:
    """Cut or not, ids stand between [CLS] and [SEP], and the cut ones are the first."""
    whole = wordpiece().encode(text)
    cut = wordpiece().encode(text, limit)
    assert (whole[0], whole[-1]) == (CLS, SEP)
    assert CLS not in whole[1:]
    assert SEP not in whole[:-1]
    assert cut == (whole if len(whole) <= limit else [*whole[: limit - 1], SEP])


@settings(deadline=None)
@given(ANY_TEXT | BUSY_TEXT)
def test_count_is_the_length_without_the_specials(text: str) -> None:
    """Counting agrees with encoding, cached or not."""
    assert wordpiece().count(text) == len(fresh().encode(text)) - 2


@settings(deadline=None)
@given(BUSY_TEXT, BUSY_TEXT)
def test_a_blank_separates(left: str, right: str) -> None:
    """What stands on one side of a blank has no influence on the other."""
    ids = wordpiece().encode(left)[1:-1] + wordpiece().encode(right)[1:-1]
    assert wordpiece().encode(f"{left} {right}")[1:-1] == ids


@settings(deadline=None, max_examples=50)
@given(BUSY_TEXT.filter(bool), st.integers(0, 60))
def test_the_border_of_a_block_is_invisible(text: str, before: int) -> None:
    """A text gives the same ids wherever the border between two blocks cuts it."""
    padding = " " * (BLOCK - min(before, len(text)))
    assert wordpiece().encode(padding + text) == wordpiece().encode(text)


def test_a_word_over_many_blocks_is_one_unknown_word() -> None:
    """A word that fills blocks is one [UNK], and does not swallow what follows."""
    assert wordpiece().encode("a" * BLOCK + " the") == [CLS, UNK, 1996, SEP]
    assert wordpiece().encode("a" * (3 * BLOCK + 7) + " the") == [CLS, UNK, 1996, SEP]
    assert wordpiece().encode("é" * (3 * BLOCK + 7) + ".") == [CLS, UNK, 1012, SEP]


@pytest.mark.parametrize("unit", ["a", "é", "\x00", "\ud800", " ", "\u0301", "aé\x01"])
def test_memory_is_bounded_whatever_the_text(unit: str) -> None:
    """Millions of characters without a blank take no more memory than a block does."""
    text = unit * (3_000_000 // len(unit))
    tokenizer = fresh()
    tracemalloc.start()
    try:
        assert tokenizer.count(text) <= 1
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_a_limit_stops_the_reading() -> None:
    """With max_tokens, what follows the last token is not looked at."""
    tokenizer = fresh()
    assert len(tokenizer.encode("zqx " * 10 + "\n" * BLOCK + "qzv", 12)) == 12
    assert "zqx" in tokenizer._cache
    assert "qzv" not in tokenizer._cache


def test_the_cache_is_bounded() -> None:
    """Neither many words nor long words nor many code points make the caches grow for ever."""
    tokenizer = fresh()
    tokenizer.count(" ".join(f"{number}zq" for number in range(module._CACHED_WORDS + 100)))
    assert 0 < len(tokenizer._cache) <= module._CACHED_WORDS
    tokenizer.count("zq" * 40)
    assert max(map(len, tokenizer._cache)) <= module._CACHED_WORD_CHARACTERS
    tokenizer.count("".join(map(chr, range(0x20000, 0x20000 + module._CACHED_CODE_POINTS + 100))))
    assert len(tokenizer._code_points) == module._CACHED_CODE_POINTS


def test_threads_may_share_one_tokenizer() -> None:
    """Concurrent calls give what a single one gives."""
    golden = read_golden() * 3
    tokenizer = fresh()
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda entry: tokenizer.encode(entry["text"]), golden))
    assert found == [entry["ids"] for entry in golden]


def test_a_limit_without_room_is_refused() -> None:
    """[CLS] and [SEP] must fit."""
    with pytest.raises(ValueError, match="alone take 2"):
        wordpiece().encode("text", 1)
