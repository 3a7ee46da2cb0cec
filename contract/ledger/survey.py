"""What there is to tell of a whole ledger, read in one step that changes nothing.

It may be read from a replica. Its cost is that of its unfinished batches and its sources.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from redis.asyncio import Redis

from contract.lane import Lane
from contract.ledger.counters import LetterCounts, counters_of, letter_counts_of
from contract.ledger.jobs import Job, job_of
from contract.ledger.records import Totals
from contract.ledger.scripts import script
from contract.names import Keys

MOST_JOBS = 200
"""New jobs that are read at a time: the newest."""


@dataclass(frozen=True, slots=True)
class LaneState:
    """The unfinished batches of one lane."""

    waiting: int = 0
    """For a worker."""
    resting: int = 0
    """Until their next attempt."""
    leased: int = 0
    parked: int = 0
    """As their job is paused."""
    oldest_ms: int = 0
    """Age of the oldest that is not parked, since it was first published; 0: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerState:
    """A ledger at one moment."""

    now_ms: int
    """By the clock of Redis."""
    totals: Totals
    lanes: Mapping[Lane, LaneState]
    counters: Mapping[str, Mapping[str, int]]
    """By source, then name: ``contract.ledger.counters``."""
    dead_letters: int
    letters: LetterCounts
    documents: Mapping[str, int]
    """That are not deleted, by source."""
    tokens_today: Mapping[str, int]
    """By source."""
    jobs: Sequence[Job]
    """Those that were asked for and are not forgotten, then the newer ones."""


class Survey:
    """Reads the ledger of one collection."""

    def __init__(self, redis: Redis, collection: str) -> None:
        """Use a client that the caller closes; nothing is sent yet."""
        self.collection = collection
        self.keys = Keys(collection)
        self._survey = script(redis, "survey")

    async def read(self, day: int, since_ms: int = 0, jobs: Sequence[str] = ()) -> LedgerState:
        """Read it.

        Args:
            day: whose tokens are told (``usage.day_of``).
            since_ms: jobs that began later are given, the newest ``MOST_JOBS``.
            jobs: others to give.
        """
        keys = self.keys
        packed = await self._survey(
            keys=[
                keys.waiting, keys.leased, keys.totals, keys.jobs, keys.counters, keys.dead,
                keys.dead_counts, keys.sources, keys.usage(day),
            ],
            args=[
                keys.batch(""), keys.job(""), keys.parked(""), keys.source(""), since_ms,
                MOST_JOBS, *jobs,
            ],
        )  # fmt: skip
        return self._state(_decoder.decode(packed))

    def _state(self, told: "_Told") -> LedgerState:
        return LedgerState(
            now_ms=told.now_ms,
            totals=Totals(*told.totals),
            lanes={Lane.LIVE: LaneState(*told.live), Lane.BULK: LaneState(*told.bulk)},
            counters=counters_of(dict(_pairs(told.counters))),
            dead_letters=told.dead_letters,
            letters=letter_counts_of(dict(_pairs(told.letters))),
            documents={
                str(name): int(number)
                for name, number in zip(told.sources[::2], told.sources[1::2], strict=True)
            },
            tokens_today={source: int(tokens) for source, tokens in _pairs(told.usage)},
            jobs=[
                job_of(str(name), self.collection, dict(_pairs(fields)))
                for name, fields in zip(told.jobs[::2], told.jobs[1::2], strict=True)
            ],
        )


class _Told(msgspec.Struct, array_like=True, frozen=True):
    """What the step gives."""

    now_ms: int
    totals: tuple[int, int, int]
    live: tuple[int, int, int, int, int]
    bulk: tuple[int, int, int, int, int]
    counters: list[str]
    dead_letters: int
    letters: list[str]
    sources: list[str | int]
    usage: list[str]
    jobs: list[str | list[str]]


_decoder = msgspec.msgpack.Decoder(_Told)


def _pairs(fields: Sequence[str]) -> Iterator[tuple[str, str]]:
    return zip(fields[::2], fields[1::2], strict=True)
