"""Vectors that came with a batch: taken as they are, if the collection can hold them."""

import numpy as np
from numpy.typing import NDArray

from contract.batch import Chunk
from contract.errors import StoreRejectedError

_FLOAT32 = np.dtype("<f4")


def given_vector(chunk: Chunk, dimension: int) -> NDArray[np.float32]:
    """Read the vector of a chunk.

    Args:
        chunk: with a vector; one without has the wrong length.
        dimension: that of the collection.

    Raises:
        StoreRejectedError: it has another length, or values that are not finite.
    """
    size = len(chunk.vector)
    if size != dimension * _FLOAT32.itemsize:
        raise StoreRejectedError(
            f"the chunk came with a vector of {size} bytes; {dimension} dimensions take "
            f"{dimension * _FLOAT32.itemsize}"
        )
    vector = np.frombuffer(chunk.vector, _FLOAT32).astype(np.float32, copy=False)
    if not np.isfinite(vector).all():
        raise StoreRejectedError("the chunk came with a vector that has infinite values or NaN")
    return vector
