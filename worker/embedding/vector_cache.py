"""Where vectors are kept under the digests of their texts, so that none is paid for twice."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class VectorCache(Protocol):
    """A bounded store of small values that may forget any of them at any time."""

    async def check(self) -> None:
        """Look at the place once, before it is used.

        Raises:
            UsageError: it can never serve as a cache; says what to change.
            TransientError: it can't be looked at now.
        """

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """Give the values in the order of the keys, None for those that are not there.

        Raises:
            TransientError: they can't be had now.
        """

    async def write(self, values: Mapping[bytes, bytes]) -> None:
        """Keep values, also over older ones.

        Raises:
            TransientError: they can't be kept now.
        """

    async def aclose(self) -> None:
        """Close connections and threads."""
