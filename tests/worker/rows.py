"""Rows for tests of the store."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.batch import Chunk, Part
from worker.embedding.embedder import ModelIdentity

MODEL = ModelIdentity("mill", "", 4)
Stored = Callable[[], list[dict[str, Any]]]
"""Reads all rows of the collection."""


def part(*texts: str, **metadata: Any) -> Part:
    """Make a part of a document with these texts."""
    return Part(
        document_id="d" * 32,
        source="books",
        version=1_700_000_000_000,
        content_hash="c" * 32,
        chunk_count=len(texts),
        first=0,
        chunks=tuple(Chunk(key=f"k{at}", text=text) for at, text in enumerate(texts)),
        metadata=metadata,
    )


def vectors(number: int, dimension: int = 4) -> NDArray[np.float32]:
    """Make vectors that differ."""
    return np.eye(number, dimension, dtype=np.float32) + np.float32(0.1)
