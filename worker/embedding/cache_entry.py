"""What the cache keeps of one text: its vector, bit by bit, and what it cost."""

import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from worker.embedding.embedder import ModelIdentity

_SPACE_BYTES = 16
_HEAD = struct.Struct("<II")
"""Tokens, and a checksum of what follows: a file holds no checksums of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class CacheEntry:
    """One vector.

    Attributes:
        vector: of 32-bit floats, all finite.
        tokens: what it cost, 0 where the endpoint did not tell.
    """

    vector: NDArray[np.float32]
    tokens: int

    def encode(self) -> bytes:
        """Give it as bytes."""
        content = self.vector.astype("<f4", copy=False).tobytes()
        return _HEAD.pack(self.tokens, zlib.crc32(content)) + content

    @classmethod
    def decode(cls, value: bytes | None, dimension: int) -> "CacheEntry | None":
        """Read it back; None for what is not there, or is no vector of this dimension."""
        if value is None or len(value) != _HEAD.size + 4 * dimension:
            return None
        tokens, checksum = _HEAD.unpack_from(value)
        vector = np.frombuffer(value, "<f4", offset=_HEAD.size)
        if zlib.crc32(memoryview(value)[_HEAD.size :]) != checksum or not np.isfinite(vector).all():
            return None
        return cls(vector, tokens)


def key_space(origin: Sequence[str], model: ModelIdentity) -> bytes:
    """Give what all keys of one model at one place begin with: vectors of two never mix.

    Args:
        origin: what tells models of the same name apart.
        model: makes the vectors.
    """
    names = (*origin, model.model, model.revision, str(model.dimension))
    return hashlib.sha256("\0".join(names).encode()).digest()[:_SPACE_BYTES]


def key_of(space: bytes, text: str) -> bytes:
    """Give the key of a text."""
    return space + hashlib.sha256(text.encode(errors="surrogatepass")).digest()


def shares(tokens: int, texts: Sequence[str]) -> list[int]:
    """Share the tokens of a request among its texts by their length; the sum stays the same."""
    ends = list(accumulate((len(text) for text in texts), initial=0))
    whole = max(ends[-1], 1)
    return [tokens * end // whole - tokens * begin // whole for begin, end in pairwise(ends)]
