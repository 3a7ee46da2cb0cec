"""A schedule: what is brought in again, when, and by which policies."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from contract.errors import UsageError
from contract.names import is_collection_name
from headrace.schedules.timetable import Timetable
from producers.deleting import Deletions
from producers.sources.opening import open_any
from producers.sources.source import Source
from producers.web.address import Address, is_url

MOST_SHARDS: Final = 256
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Missed(StrEnum):
    """What becomes of slots for which no scheduler was there in time."""

    ONCE = "once"
    """The newest of them is run, late."""
    SKIP = "skip"
    """None is run."""


class Overlap(StrEnum):
    """What becomes of a slot that is due while a run is still under way."""

    SKIP = "skip"
    QUEUE = "queue"
    """It begins when that one has ended; one at most waits."""
    CANCEL = "cancel"
    """That one is cancelled, and this one begins when it has ended."""


class Schedule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One schedule, as it is kept."""

    name: str
    path: str
    """Absolute: a folder, file or glob on the machines of the producer workers; or a URL."""
    timetable: Timetable
    collection: str = "documents"
    source: str = ""
    """Empty: named after the folder."""
    glob: str = ""
    deletions: Deletions = Deletions.GUARDED
    missed: Missed = Missed.ONCE
    overlap: Overlap = Overlap.SKIP
    lane: str = "auto"
    shards: int = 1
    """Into how many pieces a run is cut that producer workers bring in at the same time."""
    max_tokens: int | None = None
    """The most that one run may have embedded; the next goes on where it stopped."""
    max_cost: float | None = None
    """Likewise, in US dollars."""
    declared_in: str = ""
    """The file that it was declared in; empty for one that was made by hand."""

    def checked(self) -> "Schedule":
        """Give this schedule if it makes sense.

        Raises:
            UsageError: says what does not.
        """
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"{self.name!r} can't be a schedule's name: letters, digits, '.', '_' and '-'"
            )
        if is_url(self.path):
            Address.parse(self.path)
        elif not Path(self.path).is_absolute():
            raise UsageError(f"{self.path}: a schedule needs an absolute path")
        if not is_collection_name(self.collection):
            raise UsageError(f"{self.collection!r} can't be a collection's name")
        if self.lane not in {"auto", "live", "bulk"}:
            raise UsageError(f"there is no lane {self.lane!r}: auto, live or bulk")
        if not 1 <= self.shards <= MOST_SHARDS:
            raise UsageError(f"a run has 1 to {MOST_SHARDS} shards")
        if (self.max_tokens is not None and self.max_tokens < 1) or (
            self.max_cost is not None and self.max_cost < 0
        ):
            raise UsageError("a budget has 1 token at least, and no negative cost")
        self.timetable.checked()
        return self

    def open(self) -> Source:
        """Open its source, on this machine; of a URL nothing is fetched.

        Raises:
            UsageError: it is not here.
        """
        return open_any(self.path, glob=self.glob or None, name=self.source or None)

    def source_name(self) -> str:
        """Name its source; also where that is not here."""
        try:
            return self.open().name
        except UsageError:
            return self.source or Path(self.path).name


def encode(schedule: Schedule) -> bytes:
    """Write a schedule as JSON."""
    return msgspec.json.encode(schedule)


def decode(data: bytes) -> Schedule:
    """Read what ``encode`` wrote.

    Raises:
        UsageError: it is broken, or of a newer headrace.
    """
    try:
        return msgspec.json.decode(data, type=Schedule)
    except msgspec.DecodeError as error:
        raise UsageError(f"a schedule can't be read: {error}") from error
