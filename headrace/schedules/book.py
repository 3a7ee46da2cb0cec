"""The book of schedules, in Redis: each method is one atomic step that may be repeated."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from contract.errors import UsageError
from contract.ledger.connection import text
from contract.ledger.scripts import script
from headrace.schedules import names
from headrace.schedules.run import Run, run_of
from headrace.schedules.schedule import Missed, Schedule, decode, encode

OVERDUE_MS: Final = 15_000
"""Longer than a standby takes to go on for a scheduler that was killed."""
LATE_MS: Final = 60_000
"""A slot that nobody dealt with for so long after it was due counts as missed."""

_PACKAGE = "headrace.schedules"


@dataclass(frozen=True, slots=True)
class Entry:
    """A schedule with its state; times are ms since the epoch, 0 when there is none."""

    schedule: Schedule
    definition: bytes
    """The schedule as it is written down."""
    paused: bool
    created_ms: int
    last_slot_ms: int
    """Everything up to this slot has been dealt with."""
    active: str
    """The run that waits or is under way."""
    queued: str
    """The run that waits behind it."""

    def next_due_ms(self, now_ms: int) -> int:
        """Tell when it is due next; 0 while it is paused."""
        if self.paused:
            return 0
        timetable, name = self.schedule.timetable, self.schedule.name
        if timetable.due_slots(name, self.last_slot_ms, now_ms):
            return now_ms
        return timetable.next_due_ms(name, now_ms)

    def is_overdue(self, now_ms: int) -> bool:
        """Tell whether it is due for longer than a scheduler that is there would need."""
        timetable, name = self.schedule.timetable, self.schedule.name
        early = now_ms - OVERDUE_MS
        return not self.paused and bool(timetable.due_slots(name, self.last_slot_ms, early))


class Book:
    """What is to be run and when, and the history of that."""

    def __init__(
        self, redis: Redis, on_fired: Callable[[str, float | None], None] = lambda *_: None
    ) -> None:
        """Use a client that the caller closes; nothing is sent yet.

        Args:
            redis: holds them.
            on_fired: told by ``fire`` what it gives, and how many seconds after the slot was due;
                None where there was none to deal with here.
        """
        self.redis = redis
        self._on_fired = on_fired
        self._put = script(redis, "put", _PACKAGE)
        self._pause = script(redis, "pause", _PACKAGE)
        self._remove = script(redis, "remove", _PACKAGE)
        self._request = script(redis, "request", _PACKAGE)
        self._fire = script(redis, "fire", _PACKAGE)

    async def put(self, schedule: Schedule, *, replace: bool) -> bool:
        """Write a schedule down; its first slot is the first after this moment.

        One that replaces another goes on from that one's last slot if the timetable stays.

        Returns:
            False when there is one of this name, and ``replace`` is not set.
        """
        before = await self.find(schedule.name)
        anew = before is None or before.schedule.timetable != schedule.timetable
        done = await self._put(
            keys=[names.DEFINITIONS, names.state(schedule.name), names.REVISION],
            args=[schedule.name, encode(schedule), int(replace), int(anew)],
        )
        return bool(done)

    async def remove(self, name: str) -> bool:
        """Forget a schedule and its runs; one under way is cancelled; False if there is none."""
        done = await self._remove(
            keys=[
                names.DEFINITIONS, names.state(name), names.REVISION, names.history(name),
                names.READY,
            ],
            args=[name, names.RUN_PREFIX],
        )  # fmt: skip
        return bool(done)

    async def pause(self, name: str, *, paused: bool) -> bool:
        """Let a schedule rest or go on; what was due meanwhile is not made up for.

        Returns:
            False when there is no such schedule.
        """
        done = await self._pause(
            keys=[names.DEFINITIONS, names.state(name), names.REVISION],
            args=[name, int(paused)],
        )
        return bool(done)

    async def find(self, name: str) -> Entry | None:
        """Read one schedule; None when there is none of this name."""
        found = await self._entries([name])
        return found[0] if found else None

    async def entries(self) -> list[Entry]:
        """Read all schedules, by name."""
        return await self._entries(sorted(map(text, await self.redis.hkeys(names.DEFINITIONS))))

    async def of_source(self, collection: str, source: str) -> list[Schedule]:
        """Read the schedules that bring a source into a collection, by name."""
        return [
            entry.schedule
            for entry in await self.entries()
            if entry.schedule.collection == collection and entry.schedule.source_name() == source
        ]

    async def revision(self) -> int:
        """Give a number that has grown when any schedule has changed."""
        return int(await self.redis.get(names.REVISION) or 0)

    async def runs(self, name: str, number: int = 100) -> list[Run]:
        """Read the newest runs of a schedule, newest first; at most a hundred are kept."""
        found = await self.redis.zrevrange(names.history(name), 0, number - 1)
        ids = [text(run_id) for run_id in found]
        pipe = self.redis.pipeline(transaction=False)
        for run_id in ids:
            pipe.hgetall(names.run(run_id))
        read = zip(ids, await pipe.execute(), strict=True) if ids else ()
        return [run for run_id, fields in read if (run := run_of(run_id, fields))]

    async def request(self, name: str) -> str:
        """Begin a run now, or behind the one that is under way.

        Returns:
            Its id; that of the one that waits already, if there is one.

        Raises:
            UsageError: there is no such schedule.
        """
        stamp = time.strftime("%y%m%d-%H%M%S", time.gmtime())
        run_id = f"{name}@{stamp}-{secrets.token_hex(2)}"
        outcome = text(
            await self._request(
                keys=[names.DEFINITIONS, names.state(name), names.history(name), names.READY],
                args=[name, names.RUN_PREFIX, run_id],
            )
        )
        if not outcome:
            raise UsageError(f"there is no schedule {name!r}; `headrace schedule list` names them")
        return run_id if outcome in {"waiting", "queued"} else outcome

    async def fire(self, name: str, now_ms: int) -> str:
        """Deal with the slots of a schedule that are due by ``now_ms``.

        Whoever comes second finds them dealt with. Slots before the newest, and the newest if it
        is later than a minute, count as missed; then the schedule's policy decides.

        Returns:
            What became of the newest: ``waiting``, ``queued``, ``skipped``, ``missed``; ``stale``
            when someone else dealt with it; ``nothing`` when nothing was due.
        """
        outcome, due_ms = await self._fire_due(name, now_ms)
        self._on_fired(outcome, None if due_ms is None else (now_ms - due_ms) / 1000)
        return outcome

    async def _fire_due(self, name: str, now_ms: int) -> tuple[str, int | None]:
        """Give, with what became of the newest slot, when that was due, if it was dealt with."""
        entry = await self.find(name)
        if entry is None or entry.paused:
            return "nothing", None
        schedule = entry.schedule
        timetable = schedule.timetable
        slots = timetable.due_slots(name, entry.last_slot_ms, now_ms)
        if not slots:
            return "nothing", None
        newest = slots[-1]
        due = timetable.due_ms(name, newest)
        runs_newest = schedule.missed is Missed.ONCE or now_ms - due <= LATE_MS
        missed = slots[:-1] if runs_newest else slots
        found = await self._fire(
            keys=[names.DEFINITIONS, names.state(name), names.history(name), names.READY],
            args=[
                name, names.RUN_PREFIX, entry.last_slot_ms, newest, due, _run_id(name, newest),
                entry.definition, int(runs_newest), len(missed), missed[0] if missed else 0,
                timetable.due_ms(name, missed[-1]) if missed else 0,
                _run_id(name, missed[0]) + "-missed" if missed else "",
            ],
        )  # fmt: skip
        outcome = text(found)
        return outcome, None if outcome == "stale" else due

    async def _entries(self, schedules: Sequence[str]) -> list[Entry]:
        pipe = self.redis.pipeline(transaction=False)
        for name in schedules:
            pipe.hget(names.DEFINITIONS, name)
            pipe.hgetall(names.state(name))
        found = await pipe.execute() if schedules else []
        return [
            Entry(
                schedule=decode(definition),
                definition=definition,
                paused=state.get(b"paused") == b"1",
                created_ms=int(state.get(b"created_ms") or 0),
                last_slot_ms=int(state.get(b"last_slot") or 0),
                active=text(state.get(b"active", b"")),
                queued=text(state.get(b"queued", b"")),
            )
            for definition, state in zip(found[::2], found[1::2], strict=True)
            if definition is not None
        ]


def _run_id(name: str, slot_ms: int) -> str:
    """Name the run of a slot: the same whoever asks."""
    return f"{name}@{time.strftime('%y%m%d-%H%M%S', time.gmtime(slot_ms / 1000))}"
