"""Measures parts of one text in WordPiece tokens, by offsets.

Cutting asks for the tokens of many parts that overlap. So the text is read once, word by word,
and the tokens are summed up along it: those of a part are a difference. A word here is what
surely has no influence on its neighbours: a run of anything between blanks, punctuation and
ideographs. Where a part begins or ends inside of a word, what it has of it is counted by itself.
"""

import bisect
import functools
import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.wordpiece import wordpiece
from producers.length import MAX_CHARACTERS_PER_UNIT, USUAL_CHARACTERS_PER_UNIT

_MAX_CHARACTERS: Final = MAX_CHARACTERS_PER_UNIT["tokens"]
_PROBE_CHARACTERS: Final = 2 * USUAL_CHARACTERS_PER_UNIT["tokens"]

_BLOCK_CHARACTERS: Final = 65_536
_CACHED_WORDS: Final = 32_768
_CACHED_WORD_BYTES: Final = 32

# No token: all that Python calls white space, but for the control characters among it. Those
# WordPiece drops, so that what stands around them is one word.
_BLANKS: Final = (*"\t\n\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000", "\u2000-\u200a")
_DROPPED_BLANK: Final = re.compile(r"[\x0b\x0c\x1c-\x1f\x85]")
# One token each, whatever stands beside it. What is missing here (other punctuation, rare
# ideographs) is counted within words, which is as right and only slower.
_SINGLES: Final = (
    "!-/",
    ":-@",
    "[-`",
    "{-~",
    *"\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f",
    "\u3400-\u4dbf",
    "\u4e00-\u9fff",
)

_BLANK, _WORD, _SINGLE = range(3)


def _kinds() -> NDArray[np.uint8]:
    """Tell of each code point what it is; the last entry stands for all beyond as well."""
    kinds = np.full(0x10000, _WORD, np.uint8)
    for kind, spans in ((_BLANK, _BLANKS), (_SINGLE, _SINGLES)):
        for span in spans:
            kinds[ord(span[0]) : ord(span[-1]) + 1] = kind
    return kinds


def _lowered() -> bytes:
    """Map ASCII to itself in lower case, with blanks for what is no word."""
    table = bytearray(bytes(range(128)).lower() + bytes(range(128, 256)))
    for code in np.flatnonzero(_KINDS[:128] != _WORD).tolist():
        table[code] = ord(" ")
    # ``bytes.split`` takes these for blanks; they are dropped like any control character.
    table[0x0B] = table[0x0C] = 0
    return bytes(table)


def _character_class(spans: tuple[str, ...]) -> str:
    return "".join(f"{re.escape(span[0])}-{re.escape(span[-1])}" for span in spans)


_KINDS: Final = _kinds()
_LOWERED: Final = _lowered()
_APART: Final = re.compile(f"[{_character_class((*_BLANKS, *_SINGLES))}]")
_REST_OF_WORD: Final = re.compile(f"[^{_character_class((*_BLANKS, *_SINGLES))}]*")


class TokenRuler:
    """How many tokens the parts of one text have; takes 4 bytes for each character."""

    def __init__(self, text: str, size: int) -> None:
        """Read the text.

        Args:
            text: any string.
            size: up to here tokens are told exactly; of a longer part only that it is longer.
        """
        self._text = text
        self._size = size
        self._probe = _PROBE_CHARACTERS * size
        # For each offset: twice the tokens of all words that have ended; 1 more inside a word.
        self._marks = _marks(text).data

    def length(self, start: int, end: int) -> int:
        """Give the tokens from start to end, but at least one for 16 characters."""
        characters = end - start
        least = -(-characters // _MAX_CHARACTERS)
        if characters > self._probe and least <= self._size:
            # A long word is a single token, and its beginning may be many: what is too long
            # here stays so.
            least = max(least, self._tokens(start, start + self._probe))
        if least > self._size:
            return least
        return max(least, self._tokens(start, end))

    def reach(self, limit: int, start: int, units: int) -> int | None:
        """Find how far back from `start` at most so many tokens go, but not below `limit`.

        Returns:
            The least offset from which on all words begin at most so many tokens before
            `start`; all words before it begin further away. None where white space that is none
            to WordPiece, or a `start` inside of a word, make that unsure.
        """
        mark = self._marks[start]
        if mark & 1 or _DROPPED_BLANK.search(self._text, max(limit - 1, 0), start):
            return None
        limit = max(limit, start - units * _MAX_CHARACTERS)
        return bisect.bisect_left(self._marks, mark - 2 * units, min(limit, start), start)

    def _tokens(self, start: int, end: int) -> int:
        """Count the tokens from start to end."""
        marks = self._marks
        first, last = marks[start], marks[end]
        if not (first | last) & 1:
            return (last - first) >> 1
        tokens = 0
        if first & 1:
            rest = _REST_OF_WORD.match(self._text, start, end)
            begin, start = start, rest.end() if rest else start
            tokens += wordpiece().count(self._text[begin:start])
            if start == end:
                return tokens
            first = marks[start]
        if last & 1:
            # Where it begins, or where one before it does that has no tokens, nor has the part
            # between.
            begin = bisect.bisect_left(marks, last, start, end) - 1
            tokens += wordpiece().count(self._text[begin:end])
        return tokens + (last >> 1) - (first >> 1)


def _marks(text: str) -> NDArray[np.uint32]:
    """Read a text in blocks that end where words do; see `TokenRuler._marks`."""
    marks = np.zeros(len(text) + 1, np.uint32)
    start = 0
    while start < len(text):
        apart = _APART.search(text, start + _BLOCK_CHARACTERS)
        end = apart.start() if apart else len(text)
        _mark(text[start:end], marks[start : end + 1])
        start = end
    return marks


def _mark(block: str, marks: NDArray[np.uint32]) -> None:
    """Fill in the marks of a block; the first is there already."""
    words = block.encode("utf-8", "surrogatepass")
    if len(words) == len(block):
        kinds = _KINDS[np.frombuffer(words, np.uint8)]
    else:
        codes = np.frombuffer(block.encode("utf-32-le", "surrogatepass"), "<u4")
        kinds = _KINDS[np.minimum(codes, len(_KINDS) - 1)]
        codes = np.where(kinds == _WORD, codes, ord(" ")).astype("<u4")
        words = (
            codes.tobytes().decode("utf-32-le", "surrogatepass").encode("utf-8", "surrogatepass")
        )
    tokens = [*map(_word_tokens().__getitem__, words.translate(_LOWERED).split())]
    in_word = kinds == _WORD
    goes_on = np.zeros_like(in_word)
    goes_on[:-1] = in_word[:-1] & in_word[1:]
    sums = marks[1:]
    sums[:] = kinds & _SINGLE  # which is 2, as it has to be
    sums[np.flatnonzero(in_word > goes_on)] = np.array(tokens, np.uint32) * 2
    np.cumsum(marks, out=marks)
    sums += goes_on


class _WordTokens(dict[bytes, int]):
    """Number of tokens of each word, in lower case and UTF-8; worked out when first met."""

    def __missing__(self, word: bytes) -> int:
        tokens = wordpiece().count(word.decode("utf-8", "surrogatepass"))
        if len(word) <= _CACHED_WORD_BYTES:
            if len(self) >= _CACHED_WORDS:
                self.clear()
            self[word] = tokens
        return tokens


@functools.cache
def _word_tokens() -> _WordTokens:
    return _WordTokens()
