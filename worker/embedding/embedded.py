"""What an embedder gives back."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """The vectors of some texts, in their order.

    Attributes:
        vectors: shape (texts, dimensions), all finite.
        tokens: tokens that the endpoint counted, or None if it does not tell.
    """

    vectors: NDArray[np.float32]
    tokens: int | None
