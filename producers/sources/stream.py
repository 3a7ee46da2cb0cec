"""What a producer needs of a stream: documents that come one after the other, without an end."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from producers.document import Omission
from producers.sources.record import Record


@dataclass(frozen=True, slots=True)
class Item:
    """One record of a stream, or why it is not to be had."""

    place: str
    """Where it stands in the stream, for people."""
    read: Record | Omission
    position: str = ""
    """Its place where several read the same stream (``Promise.position``); empty: one reads it."""


@dataclass(frozen=True, slots=True)
class Haul:
    """Items that came together."""

    items: Sequence[Item]
    """In the order of the stream."""
    is_full: bool = False
    """Whether more may have been there already."""


class Stream(Protocol):
    """Where documents come from that nobody can list. A new kind is a new file beside this one."""

    name: str
    """Stable: with a document's key it makes the document's id."""

    @property
    def origin(self) -> str:
        """Where it comes from, for people."""

    def hauls(self) -> AsyncGenerator[Haul]:
        """Give what comes: as soon as it is much, or the first of it has waited long enough.

        Reads ahead no further than the haul that is asked for.
        """

    async def acknowledge(self, haul: Haul) -> None:
        """Hear that the ledger has a haul: it need not come again."""


class Net:
    """Gathers items until they are many, large or old. Pure: the clock is passed in."""

    DOCUMENTS: Final = 1024
    BYTES: Final = 8 * 1024 * 1024

    def __init__(self, age_seconds: float, now: Callable[[], float]) -> None:
        """Begin with nothing.

        Args:
            age_seconds: how long the first item may wait for others.
            now: a clock that does not jump, in seconds.
        """
        self._age_seconds = age_seconds
        self._now = now
        self._items: list[Item] = []
        self._bytes = 0
        self._began = 0.0

    def add(self, item: Item) -> None:
        """Take an item."""
        if not self._items:
            self._began = self._now()
        self._items.append(item)
        self._bytes += len(item.read.data) if isinstance(item.read, Record) else 0

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing in it."""
        return not self._items

    @property
    def room(self) -> int:
        """Tell how many items fit in."""
        return 0 if self._bytes >= self.BYTES else max(self.DOCUMENTS - len(self._items), 0)

    @property
    def seconds_left(self) -> float | None:
        """Tell how long the first item may still wait; None when there is none."""
        if not self._items:
            return None
        return max(self._began + self._age_seconds - self._now(), 0.0)

    @property
    def is_ripe(self) -> bool:
        """Tell whether it is to be emptied now."""
        return not self.room or self.seconds_left == 0

    def emptied(self) -> Haul:
        """Give what is in it, and begin anew."""
        haul = Haul(self._items, is_full=not self.room)
        self._items, self._bytes = [], 0
        return haul
