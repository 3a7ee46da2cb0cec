"""Places: how many names get series of their own, so that their number has a bound. Pure."""

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Places(Generic[T]):
    """Gives places to the first names, for as long as it lives.

    Who has one keeps it, or a name that comes later would take it, and the counter of all
    others would jump.
    """

    def __init__(self, number: int) -> None:
        """Have so many places."""
        self._number = number
        self._taken: set[T] = set()

    def seat(self, names: Iterable[T]) -> None:
        """Give places to names that have none, in their order, while there are any."""
        for name in names:
            if len(self._taken) >= self._number:
                return
            self._taken.add(name)

    def __contains__(self, name: T) -> bool:
        """Tell whether a name has a place."""
        return name in self._taken
