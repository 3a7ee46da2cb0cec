"""Schedules and their runs."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from redis.asyncio import Redis

from contract.ledger.connection import text
from headrace.exporter import catalogue as c
from headrace.exporter.samples import Samples
from headrace.schedules import names
from headrace.schedules.book import Book, Entry
from headrace.schedules.run import RunState

KEPT_RUNS: Final = 100
_UNENDED: Final = frozenset(
    {RunState.QUEUED, RunState.WAITING, RunState.RUNNING, RunState.SCATTERED}
)


@dataclass(frozen=True, slots=True)
class ScheduleFacts:
    """One schedule; times are ms since 1970, 0 where there is none."""

    entry: Entry
    is_overdue: bool
    next_due_ms: int
    interval_ms: int
    """Between its next two times."""
    succeeded_ms: int
    """End of its newest run that was done."""
    runs: Mapping[str, int]
    """By state, of those that are remembered."""


@dataclass(frozen=True, slots=True)
class SchedulesFacts:
    """All schedules, by name."""

    schedules: Sequence[ScheduleFacts]

    def put(self, samples: Samples, now: float) -> None:  # noqa: ARG002 - of all sections
        """Put everything; of more than a hundred schedules the first."""
        for facts in self.schedules:
            samples.add(c.SCHEDULES, 1, "paused" if facts.entry.paused else "active")
        for facts in self.schedules[: c.MOST_SCHEDULES]:
            name = facts.entry.schedule.name
            succeeded = facts.succeeded_ms or facts.entry.created_ms
            samples.add(c.OVERDUE, facts.is_overdue, name)
            samples.add(c.SCHEDULE_SUCCESS, succeeded / 1000, name)
            samples.add(c.NEXT_DUE, facts.next_due_ms / 1000, name)
            samples.add(c.INTERVAL, facts.interval_ms / 1000, name)
            for state in c.RUN_STATES:
                samples.add(c.RUNS, facts.runs.get(state, 0), name, state)


@dataclass(slots=True)
class _History:
    """The runs of one schedule that have ended, by id: state and end."""

    ended: dict[str, tuple[str, int]] = field(default_factory=dict)


class ScheduleWatch:
    """Remembers runs that have ended, so that they need not be read again."""

    def __init__(self, redis: Redis) -> None:
        """Use a client that the caller closes."""
        self._redis = redis
        self._book = Book(redis)
        self._histories: dict[str, _History] = {}

    async def read(self) -> SchedulesFacts:
        """Read everything.

        Raises:
            RedisError: Redis does not answer, or refuses.
            UsageError: a schedule can't be read.
        """
        entries = await self._book.entries()
        shown = [entry.schedule.name for entry in entries[: c.MOST_SCHEDULES]]
        self._histories = {name: self._histories.get(name, _History()) for name in shown}
        runs = await self._runs(shown)
        now_ms = round(time.time() * 1000)
        return SchedulesFacts([_facts(e, runs.get(e.schedule.name, ()), now_ms) for e in entries])

    async def _runs(self, shown: Sequence[str]) -> dict[str, Sequence[tuple[str, int]]]:
        """Give (state, ms of the end) of the runs of schedules."""
        pipe = self._redis.pipeline(transaction=False)
        for name in shown:
            pipe.zrevrange(names.history(name), 0, KEPT_RUNS - 1)
        ids = [[text(run) for run in found] for found in await pipe.execute()]
        pipe = self._redis.pipeline(transaction=False)
        asked = []
        for name, found in zip(shown, ids, strict=True):
            ended = self._histories[name].ended
            for run in found:
                if run not in ended:
                    asked.append((name, run))
                    pipe.hmget(names.run(run), "state", "finished_ms")
        fresh: dict[str, tuple[str, int]] = {}
        for (name, run), told in zip(asked, await pipe.execute(), strict=True):
            state, finished_ms = told
            if state is not None:
                fresh[run] = (text(state), int(finished_ms or 0))
                if RunState(text(state)) not in _UNENDED:
                    self._histories[name].ended[run] = fresh[run]
        runs: dict[str, Sequence[tuple[str, int]]] = {}
        for name, found in zip(shown, ids, strict=True):
            history = self._histories[name]
            history.ended = {run: history.ended[run] for run in found if run in history.ended}
            known = {**fresh, **history.ended}
            runs[name] = [known[run] for run in found if run in known]
        return runs


def _facts(entry: Entry, runs: Sequence[tuple[str, int]], now_ms: int) -> ScheduleFacts:
    timetable, name = entry.schedule.timetable, entry.schedule.name
    first = timetable.next_due_ms(name, now_ms)
    return ScheduleFacts(
        entry,
        entry.is_overdue(now_ms),
        entry.next_due_ms(now_ms),
        timetable.next_due_ms(name, first) - first,
        max((ended for state, ended in runs if state == RunState.DONE), default=0),
        Counter(state for state, _ in runs),
    )
