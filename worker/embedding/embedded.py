"""What an embedder gives back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """The vectors of some texts, in their order.

    Attributes:
        vectors: shape (texts, dimensions), all finite.
        tokens: tokens that the endpoint counted, or None if it does not tell.
        hits: texts whose vectors came from the cache.
        misses: how many other texts the cache was asked for.
        tokens_saved: what the hits cost when they were made, as far as the endpoint told.
    """

    vectors: NDArray[np.float32]
    tokens: int | None
    hits: frozenset[str] = frozenset()
    misses: int = 0
    tokens_saved: int = 0

    @classmethod
    def joined(cls, parts: Sequence["Embedded"]) -> Self:
        """Put the vectors of several requests together, at least one; tokens if all tell."""
        tokens = [part.tokens for part in parts if part.tokens is not None]
        return cls(
            vectors=np.concatenate([part.vectors for part in parts]),
            tokens=sum(tokens) if len(tokens) == len(parts) else None,
        )

    def __getitem__(self, which: slice) -> "Embedded":
        """Give those of some of the texts, with their share of the tokens.

        Shares of neighbouring slices add up to the whole.
        """
        begin, end, _ = which.indices(len(self.vectors))
        tokens = self.tokens
        if tokens is not None:
            tokens = tokens * end // len(self.vectors) - tokens * begin // len(self.vectors)
        return Embedded(self.vectors[begin:end], tokens)
