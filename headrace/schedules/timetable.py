"""When something is due: by a cron expression or at a steady interval. Pure.

A *slot* is a nominal time; it is *due* then, or up to ``jitter_seconds`` later: by a fixed share
of it that follows from name and slot, so that all who ask agree, and many schedules of one slot
do not begin together. Times are ms since the epoch.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from itertools import islice, pairwise
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from cronsim import CronSim, CronSimError

from contract.errors import UsageError
from headrace.duration import duration_text

MOST_SLOTS: Final = 1_000
"""Slots that are counted one by one after a long absence."""
LEAST_INTERVAL_SECONDS: Final = 1.0

_GAPS_LOOKED_AT = 100


class Timetable(msgspec.Struct, frozen=True, omit_defaults=True):
    """The slots of one schedule.

    Exactly one of ``cron`` and ``every_seconds`` is given; ``checked`` sees to that.
    """

    cron: str = ""
    """Five fields, as Debian's cron reads them, in the time zone."""
    every_seconds: float = 0.0
    timezone: str = "UTC"
    jitter_seconds: float = 0.0
    anchor_ms: int = 0
    """Of an interval: its slots are so many intervals after this."""

    def checked(self) -> "Timetable":
        """Give this timetable if it makes sense.

        Raises:
            UsageError: says what does not.
        """
        if bool(self.cron) == bool(self.every_seconds):
            raise UsageError("a schedule needs either --cron or --every")
        if self.every_seconds and self.every_seconds < LEAST_INTERVAL_SECONDS:
            raise UsageError(f"an interval has {LEAST_INTERVAL_SECONDS:g} s at least")
        zone = self._zone()
        if self.cron and len(self.cron.split()) != 5:  # noqa: PLR2004 - cron's fields
            raise UsageError(f"cron expression {self.cron!r}: five fields are expected")
        try:
            shortest = self._shortest_gap_seconds(zone)
        except CronSimError as error:
            raise UsageError(f"cron expression {self.cron!r}: {error}") from error
        except StopIteration:
            raise UsageError(f"cron expression {self.cron!r} is never due") from None
        if not 0 <= self.jitter_seconds < shortest:
            raise UsageError(
                f"jitter has to be shorter than the shortest interval ({shortest:g} s)"
            )
        return self

    def slots(self, after_ms: int) -> Iterator[int]:
        """Give the slots later than ``after_ms``, in order, without an end."""
        if not self.cron:
            every = round(self.every_seconds * 1000)
            number = (after_ms - self.anchor_ms) // every + 1
            while True:
                yield self.anchor_ms + number * every
                number += 1
        # Cron has whole seconds, and gives what is later than its beginning.
        begun = datetime.fromtimestamp(after_ms // 1000, self._zone())
        for slot in CronSim(self.cron, begun):
            found = round(slot.timestamp() * 1000)
            # When clocks are put back, a zone's hour comes twice.
            if found > after_ms:
                yield found

    def due_ms(self, name: str, slot_ms: int) -> int:
        """Tell when the schedule ``name`` is due for a slot."""
        if not self.jitter_seconds:
            return slot_ms
        digest = hashlib.blake2b(f"{name}\0{slot_ms}".encode(), digest_size=8).digest()
        share = int.from_bytes(digest) / 2**64
        return slot_ms + int(share * self.jitter_seconds * 1000)

    def next_due_ms(self, name: str, after_ms: int) -> int:
        """Tell when it is due next, later than ``after_ms``."""
        # A slot before then may be due after it.
        early = after_ms - round(self.jitter_seconds * 1000) - 1
        dues = (self.due_ms(name, slot) for slot in self.slots(early))
        return next(due for due in dues if due > after_ms)

    def due_slots(self, name: str, after_ms: int, now_ms: int) -> tuple[int, ...]:
        """Give the slots later than the slot ``after_ms`` that are due by now, in order.

        Of more than a thousand the first are left out.
        """
        if not self.cron:
            every = round(self.every_seconds * 1000)
            after_ms = max(after_ms, now_ms - (MOST_SLOTS + 1) * every)
        elif now_ms - after_ms > MOST_SLOTS * 60_000:
            after_ms = max(after_ms, self._slot_back(now_ms))
        found: list[int] = []
        for slot in self.slots(after_ms):
            if self.due_ms(name, slot) > now_ms:
                break
            found.append(slot)
        return tuple(found[-MOST_SLOTS:])

    def text(self) -> str:
        """Write it for a person."""
        when = self.cron or f"every {duration_text(self.every_seconds)}"
        zone = f" {self.timezone}" if self.cron else ""
        jitter = f" +0..{duration_text(self.jitter_seconds)}" if self.jitter_seconds else ""
        return f"{when}{zone}{jitter}"

    def _slot_back(self, now_ms: int) -> int:
        """Give the slot before the last thousand."""
        now = datetime.fromtimestamp(now_ms / 1000, self._zone())
        back = list(islice(CronSim(self.cron, now, reverse=True), MOST_SLOTS + 1))
        return round(back[-1].timestamp() * 1000)

    def _shortest_gap_seconds(self, zone: tzinfo) -> float:
        if not self.cron:
            return self.every_seconds
        begun = datetime(2024, 1, 1, tzinfo=UTC).astimezone(zone)
        first = islice(CronSim(self.cron, begun), _GAPS_LOOKED_AT)
        times = [slot.timestamp() for slot in first]
        return min((b - a for a, b in pairwise(times) if b > a), default=60.0)

    def _zone(self) -> tzinfo:
        try:
            return ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise UsageError(f"there is no time zone {self.timezone!r}") from error
