"""What sources have ever brought, and dead letters by reason: for metrics.

The steps that count for a job count here as well, so these are as exact under repetition and
kills; and they stay when jobs, and even sources, are forgotten.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from contract.ledger.connection import text
from contract.names import Keys

COMPLETED = "completed_ms"
"""Not a counter: when the newest complete listing or haul of the source was published."""
BEGUN = "begun_ms"
"""Not a counter: when the first job of the source began, as far as is known."""


@dataclass(frozen=True, slots=True)
class LetterCounts:
    """Dead letters by reason."""

    now: Mapping[str, int]
    """Those that there are."""
    written: Mapping[str, int]
    """Those that were ever written; one that a listing finds again is no new one."""


def counters_of(found: Mapping[Any, Any]) -> dict[str, dict[str, int]]:
    """Sort the fields of ``Keys.counters`` by source, then counter."""
    sources: dict[str, dict[str, int]] = {}
    for field, value in found.items():
        counter, _, source = text(field).partition("\0")
        sources.setdefault(source, {})[counter] = int(value)
    return sources


def letter_counts_of(found: Mapping[Any, Any]) -> LetterCounts:
    """Sort the fields of ``Keys.dead_counts``."""
    counts: dict[str, dict[str, int]] = {"now": {}, "written": {}}
    for field, value in found.items():
        kind, _, reason = text(field).partition("\0")
        counts[kind][reason] = int(value)
    return LetterCounts(counts["now"], counts["written"])


class Counters:
    """The counters of one collection."""

    def __init__(self, redis: Redis, collection: str) -> None:
        """Use a client that the caller closes."""
        self.redis = redis
        self.keys = Keys(collection)

    async def by_source(self) -> dict[str, dict[str, int]]:
        """Give all counters, by source, then name (as in ``Job.counts``)."""
        return counters_of(await self.redis.hgetall(self.keys.counters))
