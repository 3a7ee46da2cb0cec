"""How long parts of a text are, in characters or in WordPiece tokens."""

from typing import Final, Literal, Protocol, TypeAlias

Unit: TypeAlias = Literal["characters", "tokens"]

# English has about 4.5 characters a token. Text with less than one token in 16 is one endless
# word, which is a single [UNK] to WordPiece, or runs of blanks, which are none: it is counted
# as one in 16, so that pieces stay short.
USUAL_CHARACTERS_PER_UNIT: Final[dict[Unit, int]] = {"characters": 1, "tokens": 4}
MAX_CHARACTERS_PER_UNIT: Final[dict[Unit, int]] = {"characters": 1, "tokens": 16}


class Ruler(Protocol):
    """Measures parts of one text; all offsets are in characters."""

    def length(self, start: int, end: int) -> int:
        """Give the units from start to end: at least 1, unless there is no character.

        Up to the size that the ruler was made for they are exact; of a longer part it only
        tells that it is longer.
        """

    def reach(self, limit: int, start: int, units: int) -> int | None:
        """Find how far back from `start` one may go, but not below `limit`.

        Returns:
            The least offset from which on all words begin at most so many units before
            `start`; all words before it begin further away. None where that isn't sure.
        """


class CharacterRuler:
    """Measures in characters."""

    def length(self, start: int, end: int) -> int:
        """Give the characters from start to end."""
        return end - start

    def reach(self, limit: int, start: int, units: int) -> int:
        """Go so many characters back."""
        return max(limit, start - units)


def ruler(text: str, unit: Unit, size: int) -> Ruler:
    """Give what measures a text.

    Args:
        text: what is to be measured.
        unit: what to count; tokens are WordPiece's, without [CLS] and [SEP].
        size: the most units that are to be told exactly.
    """
    if unit == "characters":
        return CharacterRuler()
    from producers.token_ruler import TokenRuler  # noqa: PLC0415 - vocabulary and NumPy

    return TokenRuler(text, size)
