"""BERT's uncased WordPiece tokenizer, for the local model and for counting tokens.

The method is that of BERT (Devlin et al., 2018): clean and lower the text, drop accents, split
at blanks, punctuation and ideographs, then cut each word greedily into the longest pieces that
the vocabulary knows. All steps but the last map one code point at a time, whatever stands
beside it, so a text of any size is worked through in blocks.
"""

import functools
import importlib.resources
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

MAX_WORD_CHARACTERS: Final = 100
"""A longer word is one [UNK]; BERT's own limit."""

_BLOCK_CHARACTERS: Final = 65_536
_CACHED_WORDS: Final = 32_768
_CACHED_WORD_CHARACTERS: Final = 32  # with the line above: some 20 MB at the very worst
_CACHED_CODE_POINTS: Final = 16_384

_ASCII_CONTROLS: Final = bytes(code for code in (*range(32), 127) if code not in b"\t\n\r")
_ASCII_LOWER: Final = bytes(range(128)).lower() + bytes(range(128, 256))
_ASCII_WORD: Final = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")

# Control, format, private use, surrogate. Unassigned code points stay: they are unknown words.
_DROPPED: Final = frozenset({"Cc", "Cf", "Co", "Cs"})

_IDEOGRAPHS: Final = (
    range(0x3400, 0x4DC0),
    range(0x4E00, 0xA000),
    range(0xF900, 0xFB00),
    range(0x20000, 0x2A6E0),
    range(0x2A700, 0x2B740),
    range(0x2B740, 0x2B820),
    range(0x2B920, 0x2CEB0),  # from 0x2B820 in BERT; the model's own tokenizer has it so
    range(0x2F800, 0x2FA20),
)


class WordPiece:
    """Turns text into token ids; safe to share between threads.

    Special tokens that stand literally in a text ("[SEP]") are ordinary text. Any string is
    accepted, lone surrogates too (dropped, as control characters are); time is linear in the
    text, and memory beside the result is bounded.
    """

    def __init__(self, vocabulary: Iterable[str]) -> None:
        """Number the tokens in the order given; [CLS], [SEP] and [UNK] must be among them."""
        self._ids = {token: index for index, token in enumerate(vocabulary)}
        self._classify = self._ids["[CLS]"]
        self._separate = self._ids["[SEP]"]
        self._unknown = self._ids["[UNK]"]
        self._longest_token = max(map(len, self._ids))
        self._cache: dict[str, tuple[int, ...]] = {}
        self._code_points = _CodePoints()
        self._lengths = _Lengths(self)

    def encode(self, text: str, max_tokens: int | None = None) -> list[int]:
        """Give the ids of the text between [CLS] and [SEP].

        Args:
            text: any string.
            max_tokens: the most ids to give, [CLS] and [SEP] among them; at least 2. What
                follows is not even looked at. None gives all.

        Raises:
            ValueError: max_tokens is below 2.
        """
        if max_tokens is not None and max_tokens < 2:  # noqa: PLR2004 - [CLS] and [SEP]
            raise ValueError(f"max_tokens is {max_tokens}; [CLS] and [SEP] alone take 2")
        ids = [self._classify]
        for word in self._words(text):
            ids += self._pieces(word)
            if max_tokens is not None and len(ids) >= max_tokens:
                del ids[max_tokens - 1 :]
                break
        ids.append(self._separate)
        return ids

    def count(self, text: str) -> int:
        """Count the tokens of the whole text, without [CLS] and [SEP]."""
        lengths = self._lengths
        if len(text) <= _BLOCK_CHARACTERS and text.isascii():
            return sum(map(lengths.__getitem__, _ASCII_WORD.findall(self._normalise(text))))
        return sum(map(lengths.__getitem__, self._words(text)))

    def _words(self, text: str) -> Iterator[str]:
        """Give the normalised words and single punctuation marks of the text, in order."""
        carried = ""
        for start in range(0, len(text), _BLOCK_CHARACTERS):
            block = self._normalise(carried + text[start : start + _BLOCK_CHARACTERS])
            words = _ASCII_WORD.findall(block) if block.isascii() else block.split()
            carried = ""
            if words and start + _BLOCK_CHARACTERS < len(text) and block.endswith(words[-1]):
                # It may go on in the next block. Too long is too long: the rest need not stay.
                carried = words.pop()[: MAX_WORD_CHARACTERS + 1]
            yield from words
        if carried:
            yield carried

    def _normalise(self, text: str) -> str:
        """Clean and lower; punctuation beyond ASCII-only text comes out between blanks."""
        if text.isascii():
            return text.encode("ascii").translate(_ASCII_LOWER, _ASCII_CONTROLS).decode("ascii")
        return text.translate(self._code_points)

    def _pieces(self, word: str) -> tuple[int, ...]:
        """Give the ids of one normalised word."""
        index = self._ids.get(word)
        if index is not None:
            return (index,)
        if len(word) > _CACHED_WORD_CHARACTERS:
            return self._cut(word)
        pieces = self._cache.get(word)
        if pieces is None:
            pieces = self._cut(word)
            if len(self._cache) >= _CACHED_WORDS:
                self._cache.clear()
            self._cache[word] = pieces
        return pieces

    def _cut(self, word: str) -> tuple[int, ...]:
        """Cut greedily into the longest known pieces; no fit anywhere makes it all unknown."""
        if len(word) > MAX_WORD_CHARACTERS:
            return (self._unknown,)
        pieces: list[int] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            for end in range(min(len(word), start + self._longest_token), start, -1):
                index = self._ids.get(prefix + word[start:end])
                if index is not None:
                    pieces.append(index)
                    start = end
                    break
            else:
                return (self._unknown,)
        return tuple(pieces)


@functools.cache
def wordpiece() -> WordPiece:
    """Give the tokenizer with the vocabulary shipped in this package, read on first use."""
    vocabulary = importlib.resources.files("contract").joinpath("vocab.txt")
    return WordPiece(vocabulary.read_text("utf-8").removesuffix("\n").split("\n"))


class _Lengths(dict[str, int]):
    """Number of pieces of each word, worked out when first met; counting is the hot path."""

    def __init__(self, wordpiece: WordPiece) -> None:
        self._wordpiece = wordpiece

    def __missing__(self, word: str) -> int:
        length = len(self._wordpiece._pieces(word))  # noqa: SLF001 - its other half
        if len(word) <= _CACHED_WORD_CHARACTERS:
            if len(self) >= _CACHED_WORDS:
                self.clear()
            self[word] = length
        return length


class _CodePoints(dict[int, str]):
    """What becomes of each code point, worked out when first met; for ``str.translate``."""

    def __missing__(self, code_point: int) -> str:
        normalised = _normalise_character(chr(code_point))
        if len(self) < _CACHED_CODE_POINTS:
            self[code_point] = normalised
        return normalised


def _normalise_character(character: str) -> str:
    """Give what BERT makes of one character: nothing, a blank, or letters and spaced marks."""
    category = unicodedata.category(character)
    if character in "\t\n\r" or category.startswith("Z"):
        return " "
    if category in _DROPPED or character == "\N{REPLACEMENT CHARACTER}":
        return ""
    kept = (
        part.lower()
        for part in unicodedata.normalize("NFD", character)
        if unicodedata.category(part) != "Mn"
    )
    ideograph = any(ord(character) in block for block in _IDEOGRAPHS)
    return "".join(f" {part} " if ideograph or _is_punctuation(part) else part for part in kept)


def _is_punctuation(character: str) -> bool:
    """Tell whether BERT splits here: Unicode's punctuation, and ASCII's signs such as "$"."""
    is_ascii_sign = character.isascii() and character.isprintable() and not character.isalnum()
    return is_ascii_sign or unicodedata.category(character).startswith("P")
