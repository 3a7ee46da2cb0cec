"""Runs under way: claimed under a lease that is renewed, so that a crash is noticed."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from contract.ledger.connection import text
from contract.ledger.scripts import script
from headrace.schedules import names
from headrace.schedules.run import Claimed, RunState, claimed_of
from headrace.schedules.schedule import Schedule, decode
from producers.listing import Listing

LEASE_SECONDS: Final = 20.0
MOST_CRASHES: Final = 3
BUSY_MS: Final = 1_000
"""After which a run is announced again that waits for its source."""
ANNOUNCE_AGAIN_MS: Final = 5_000

_PACKAGE = "headrace.schedules"


class Leases:
    """Who carries out what; each method is one atomic step that may be repeated."""

    def __init__(self, redis: Redis) -> None:
        """Use a client that the caller closes; nothing is sent yet."""
        self.redis = redis
        self._claim = script(redis, "claim", _PACKAGE)
        self._scatter = script(redis, "scatter", _PACKAGE)
        self._renew = script(redis, "renew", _PACKAGE)
        self._release = script(redis, "release", _PACKAGE)
        self._end = script(redis, "end", _PACKAGE)
        self._overdue = script(redis, "overdue", _PACKAGE)

    async def schedule_of(self, run_id: str) -> Schedule | None:
        """Read what a run has to do; None when it is forgotten."""
        definition: bytes | None = await self.redis.hget(names.run(run_id), "definition")  # type: ignore[assignment]
        return decode(definition) if definition else None

    async def claim(
        self, run_id: str, owner: str, schedule: Schedule, source: str
    ) -> Claimed | None:
        """Take a run, and its source for itself; None when it is not to be had now.

        Args:
            run_id: the run.
            owner: new for every claim.
            schedule: what it has to do.
            source: name of the schedule's source.
        """
        outcome, *rest = await self._claim(
            keys=[names.run(run_id), names.READY, names.LEASED, names.SOURCES],
            args=[
                run_id, names.RUN_PREFIX, names.STATE_PREFIX, owner, round(LEASE_SECONDS * 1000),
                names.source_field(schedule.collection, source), MOST_CRASHES, BUSY_MS,
            ],
        )  # fmt: skip
        if outcome != b"claimed":
            return None
        fields: Any = await self.redis.hgetall(names.run(run_id))
        return claimed_of(run_id, owner, int(rest[0]), fields)

    async def scatter(self, claimed: Claimed, listing: Listing) -> bool:
        """Cut a run into the shards of its schedule; False when the lease was lost."""
        done = await self._scatter(
            keys=[names.run(claimed.id), names.READY, names.LEASED],
            args=[
                claimed.id, claimed.owner, names.RUN_PREFIX, claimed.schedule.shards,
                listing.number, listing.known,
            ],
        )  # fmt: skip
        return bool(done)

    async def renew(self, claimed: Claimed, job: str) -> str:
        """Move the end of a lease.

        Returns:
            ``kept``, ``cancelled`` when the run is to be given up, or ``lost``.
        """
        found = await self._renew(
            keys=[names.run(claimed.id), names.LEASED],
            args=[
                claimed.id,
                claimed.owner,
                round(LEASE_SECONDS * 1000),
                job,
                names.RUN_PREFIX,
            ],
        )
        return text(found)

    async def release(self, claimed: Claimed) -> bool:
        """Give a run back, for someone else to go on with; False when the lease was lost."""
        done = await self._release(
            keys=[names.run(claimed.id), names.READY, names.LEASED],
            args=[claimed.id, claimed.owner],
        )
        return bool(done)

    async def end(
        self, claimed: Claimed, state: RunState, reason: str, result: Mapping[str, Any]
    ) -> bool:
        """Write down how a run ended; False when the lease was lost."""
        done = await self._end(
            keys=[names.run(claimed.id), names.READY, names.LEASED, names.SOURCES],
            args=[
                claimed.id, names.RUN_PREFIX, names.STATE_PREFIX, claimed.owner, state.value,
                reason, msgspec.json.encode(result),
            ],
        )  # fmt: skip
        return bool(done)

    async def overdue(self) -> list[str]:
        """Name runs to announce: those that wait, and those whose process is silent."""
        found = await self._overdue(
            keys=[names.READY, names.LEASED], args=[names.RUN_PREFIX, ANNOUNCE_AGAIN_MS]
        )
        return [text(run_id) for run_id in found]
