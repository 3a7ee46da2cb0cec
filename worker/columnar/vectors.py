"""Vectors as the protocol has them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.columnar.wire import VectorField

Vectors = NDArray[np.floating[Any]] | Sequence[Sequence[float] | NDArray[np.floating[Any]]]
"""Shape (rows, dimension), of 32 or 64 bits: an array, a list of arrays or a list of lists."""

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_DATA_TAG = b"\x0a"
"""Of ``FloatArray.data``: field 1, packed, its length in bytes comes next."""


def set_vectors(field: VectorField, vectors: Vectors) -> None:
    """Set vectors, all of one dimension; arrays without touching a single float.

    Raises:
        TypeError, ValueError, OverflowError: they are not what pymilvus takes for such.
    """
    arrays = [vectors] if isinstance(vectors, np.ndarray) else vectors
    if any(isinstance(array, np.ndarray) for array in arrays):
        if any(not isinstance(array, np.ndarray) or array.dtype not in _FLOATS for array in arrays):
            raise TypeError("vectors of another kind than arrays of floats")
        with np.errstate(over="ignore"):  # too large for 32 bits: infinite, as protobuf has it
            matrix = np.ascontiguousarray(vectors, "<f4")
        if matrix.ndim != 2 or matrix.size == 0:  # noqa: PLR2004
            raise ValueError(f"vectors of shape {matrix.shape}")
        field.dim = matrix.shape[1]
        raw = matrix.data.cast("B")
        field.float_vector.MergeFromString(b"".join((_DATA_TAG, _varint(len(raw)), raw)))
        return
    field.dim = len(vectors[0])
    for vector in vectors:
        if len(vector) != field.dim:
            raise ValueError(f"vectors of {field.dim} and {len(vector)} numbers")
        field.float_vector.data.extend(vector)


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number >= 0x80:  # noqa: PLR2004 - 7 bits in each byte, low ones first
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
