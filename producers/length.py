"""How long a text is, in characters or in WordPiece tokens."""

import functools
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

Unit: TypeAlias = Literal["characters", "tokens"]

# English has about 4.5 characters a token. Text with less than one token in 16 is one endless
# word, which is a single [UNK] to WordPiece, or runs of blanks, which are none: it is counted
# as one in 16, so that pieces stay short.
USUAL_CHARACTERS_PER_UNIT: Final[dict[Unit, int]] = {"characters": 1, "tokens": 4}
MAX_CHARACTERS_PER_UNIT: Final[dict[Unit, int]] = {"characters": 1, "tokens": 16}

_CACHED_TEXTS: Final = 512
_CACHED_CHARACTERS: Final = 4096


@functools.cache
def length_function(unit: Unit, size: int) -> Callable[[str], int]:
    """Give what measures a text.

    Args:
        unit: what to count; tokens are WordPiece's, without [CLS] and [SEP].
        size: up to here it counts exactly; of a longer text it only tells that it is longer.
    """
    if unit == "characters":
        return len
    from contract.wordpiece import wordpiece  # noqa: PLC0415 - read only by who counts tokens

    count = wordpiece().count
    # The same part is measured when it is cut, when it is joined, and for its overlap.
    count_again = functools.lru_cache(_CACHED_TEXTS)(count)
    probe = 2 * USUAL_CHARACTERS_PER_UNIT[unit] * size

    def length(text: str) -> int:
        least = -(-len(text) // MAX_CHARACTERS_PER_UNIT[unit])
        if least <= size and len(text) > probe:
            least = max(least, count(text[:probe]))
        if least > size:
            return least
        return max(least, count_again(text) if len(text) <= _CACHED_CHARACTERS else count(text))

    return length
