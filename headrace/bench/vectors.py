"""Cheap, deterministic vectors that know words: a signed, hashed bag of words.

A word falls on a few signed places of the vector (feature hashing, Weinberger et al. 2009), so
that texts with words in common are near each other. It knows nothing of meaning: it is made to
tell whether the right texts come back, at a few tens of microseconds a text.
"""

import hashlib
import math
import re
import struct
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_PLACES = 4
_CACHED_WORDS = 200_000
_WORD = re.compile(r"\w+")
_FEATURE = np.dtype([("places", "<i4", (_PLACES,)), ("weights", "<f4", (_PLACES,))])
_PACK = struct.Struct(f"<{_PLACES}i{_PLACES}f").pack
_HASHES = struct.Struct(f"<{_PLACES}I").unpack
_LONGEST_THAT_COUNTS = 12
_COMMON_WEIGHT = 0.05
_SHORT_LETTERS = 3
_SHORT_WEIGHT = 0.3
_COMMON = frozenset(
    re.findall(
        r"\w+",
        """
        a about after all also an and any are as at be because been but by can could do does each
        for from had has have how if in into is it its may more most no not of on one only or
        other our out should so some such than that the their them then there these they this
        those to up use used using was we were what when where which while who will with would
        you your
        """,
    )
)


class _Features(dict[str, bytes]):
    """Word to its packed places and weights, worked out at first sight.

    It forgets everything when it is full: a corpus of numbers must not fill the memory.
    """

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self._dimensions = dimensions

    def __missing__(self, word: str) -> bytes:
        if len(self) >= _CACHED_WORDS:
            self.clear()
        digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=4 * _PLACES)
        hashes = _HASHES(digest.digest())
        weight = _weight(word)
        feature = _PACK(
            *((number >> 1) % self._dimensions for number in hashes),
            *(weight if number & 1 else -weight for number in hashes),
        )
        self[word] = feature
        return feature


class HashedWords:
    """Turns texts into unit vectors; the same text always gives the same vector.

    Args:
        dimensions: length of a vector, at least 1.
    """

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self._features = _Features(dimensions)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Give an array of shape (len(texts), dimensions); every row has length 1."""
        features: list[bytes] = []
        counts: list[int] = []
        words_of_text: list[int] = []
        feature_of = self._features.__getitem__
        for text in texts:
            words = Counter(_WORD.findall(text.lower())) or {text: 1}
            features.extend(map(feature_of, words))
            counts.extend(words.values())
            words_of_text.append(len(words))
        packed = np.frombuffer(b"".join(features), dtype=_FEATURE)
        rows = np.repeat(np.arange(len(texts)), words_of_text) * self.dimensions
        # A word that comes ten times says little more than one that comes twice.
        repeats = 1.0 + np.log(np.asarray(counts, dtype=np.float64))
        vectors = np.bincount(
            (rows[:, np.newaxis] + packed["places"]).ravel(),
            weights=(packed["weights"] * repeats[:, np.newaxis]).ravel(),
            minlength=len(texts) * self.dimensions,
        ).reshape(len(texts), self.dimensions)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        # Opposite signs on the same places can cancel out in very short vectors.
        cancelled = lengths[:, 0] < 1e-9  # noqa: PLR2004 - far below any weight
        vectors[cancelled, 0] = 1.0
        lengths[cancelled] = 1.0
        unit: NDArray[np.float32] = (vectors / lengths).astype(np.float32)
        return unit


def _weight(word: str) -> float:
    """Longer words are rarer, as a rule, and count for more; function words hardly count.

    The figures are those that found most texts by two of their words (384 dimensions, 850
    characters a text).
    """
    if word in _COMMON:
        return _COMMON_WEIGHT
    rarity = math.sqrt(min(len(word), _LONGEST_THAT_COUNTS) / 4)
    return rarity * _SHORT_WEIGHT if len(word) <= _SHORT_LETTERS else rarity
