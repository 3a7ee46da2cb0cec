"""Makes an embedder's vectors into an array, and refuses those that must not be stored."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.errors import EmbeddingReplyError


def to_array(vectors: Any) -> NDArray[np.float32]:
    """Give vectors of numbers (lists or arrays) as one array of shape (n, d).

    Raises:
        EmbeddingReplyError: they differ in length, or hold something else than numbers.
    """
    try:
        # A number that is too large for 32 bits becomes infinite here and is refused later.
        with np.errstate(over="ignore"):
            array = np.asarray(vectors, dtype=np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise EmbeddingReplyError(
            "the embedding model gave vectors that differ in length or hold something else than "
            "numbers; check the model"
        ) from error
    if array.ndim == 1 and array.size == 0:
        return np.empty((0, 0), dtype=np.float32)
    return array


def check_vectors(
    vectors: NDArray[np.float32], count: int, dimensions: int | None
) -> NDArray[np.float32]:
    """Give the vectors back if there are as many as texts, of one known length, and finite.

    Args:
        vectors: shape (n, d).
        count: how many texts there were.
        dimensions: length that every vector must have, or None if any will do.

    Raises:
        EmbeddingReplyError: the vectors can't be stored; says which check failed.
    """
    if vectors.ndim != 2:  # noqa: PLR2004 - rows and columns
        raise EmbeddingReplyError(
            f"the embedding model gave an array of {vectors.ndim} dimensions, not one vector a text"
        )
    if len(vectors) != count:
        raise EmbeddingReplyError(
            f"the embedding model gave {len(vectors)} vectors for {count} texts"
        )
    length = vectors.shape[1]
    if count and (length == 0 or dimensions not in (None, length)):
        raise EmbeddingReplyError(
            f"the embedding model gave vectors of {length} dimensions where "
            f"{dimensions or 'at least 1'} are expected; check the model and its dimensions"
        )
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise EmbeddingReplyError(
            f"the embedding model gave infinite values or NaN for text {int(finite.argmin())} "
            f"of {count}"
        )
    return vectors


def order_by_index(indexes: Sequence[object], count: int) -> list[int]:
    """Give for each text the position of its vector in the reply.

    Args:
        indexes: the ``index`` of every vector of a reply, as it came.
        count: how many texts there were.

    Raises:
        EmbeddingReplyError: the indexes are not 0 to ``count - 1``, each once.
    """
    if len(indexes) != count:
        raise EmbeddingReplyError(f"the endpoint gave {len(indexes)} vectors for {count} texts")
    positions = [-1] * count
    for position, index in enumerate(indexes):
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < count:
            raise EmbeddingReplyError(
                f"the endpoint gave a vector the index {str(index)[:20]!r}, which no text has"
            )
        if positions[index] >= 0:
            raise EmbeddingReplyError(f"the endpoint gave two vectors the index {index}")
        positions[index] = position
    return positions
