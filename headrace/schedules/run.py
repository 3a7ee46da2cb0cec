"""A run of a schedule: what became of one slot."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import msgspec

from contract.ledger.connection import text
from headrace.schedules.schedule import Schedule, decode
from producers.listing import Listing

_SHARD = b"shard:"
"""What the fields begin with in which a run keeps how its shards ended."""


class RunState(StrEnum):
    """Where a run is."""

    QUEUED = "queued"
    """Behind the run before it."""
    WAITING = "waiting"
    """For a producer worker, or until another schedule's run lets go of the source."""
    RUNNING = "running"
    SCATTERED = "scattered"
    """Its shards are under way."""
    DONE = "done"
    """Done; ``reason`` says so if some documents became dead letters."""
    STOPPED = "stopped"
    """By a guard or at a budget, with all else done; ``reason`` says by which."""
    CANCELLED = "cancelled"
    FAILED = "failed"
    SKIPPED = "skipped"
    """By the schedule's policy for runs that overlap."""
    MISSED = "missed"
    """By the schedule's policy for slots at which no scheduler was there."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run at one moment; times are ms since the epoch, 0 when it has not come to that."""

    id: str
    schedule: str
    state: RunState
    slot_ms: int
    due_ms: int
    slots: int
    """How many slots this stands for: more than one only of those that were missed."""
    created_ms: int
    started_ms: int
    finished_ms: int
    crashes: int
    """How often the process that ran it ended in the middle."""
    job: str
    """By which ``headrace jobs`` knows the newest attempt."""
    reason: str
    result: Mapping[str, Any]
    """Once it has ended: ``counts`` as of a job, of all its shards together, and ``cost_usd``."""

    def as_dict(self) -> dict[str, Any]:
        """Give the fields, for JSON."""
        return asdict(self)


class ShardEnd(msgspec.Struct, frozen=True):
    """How a shard ended."""

    state: RunState
    reason: str
    job: str
    result: str
    """JSON, as of a run."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run, or a shard of one, that a process has under a lease."""

    id: str
    owner: str
    schedule: Schedule
    crashes: int
    listing: Listing | None = None
    """What its shards share; None as long as it is not cut into shards."""
    shard: int | None = None
    """Number of this shard; None: the whole run."""
    ends: tuple[ShardEnd, ...] = ()
    """Of all shards by their numbers, once they are through."""


def run_of(run_id: str, fields: Mapping[bytes, bytes]) -> Run | None:
    """Read a run; None when it is forgotten."""
    if b"state" not in fields:
        return None

    def number(name: str) -> int:
        return int(fields.get(name.encode()) or 0)

    def words(name: str) -> str:
        return text(fields.get(name.encode(), b""))

    return Run(
        id=run_id,
        schedule=words("schedule"),
        state=RunState(words("state")),
        slot_ms=number("slot_ms"),
        due_ms=number("due_ms"),
        slots=number("slots"),
        created_ms=number("created_ms"),
        started_ms=number("started_ms"),
        finished_ms=number("finished_ms"),
        crashes=number("crashes"),
        job=words("job"),
        reason=words("reason"),
        result=msgspec.json.decode(fields.get(b"result") or b"{}"),
    )


def claimed_of(run_id: str, owner: str, crashes: int, fields: Mapping[bytes, bytes]) -> Claimed:
    """Read a run that was just claimed."""
    listing = None
    if b"listing" in fields:
        listing = Listing(int(fields[b"listing"]), int(fields[b"known"]))
    ends = {
        int(field.removeprefix(_SHARD)): msgspec.json.decode(value, type=ShardEnd)
        for field, value in fields.items()
        if field.startswith(_SHARD)
    }
    return Claimed(
        run_id,
        owner,
        decode(fields[b"definition"]),
        crashes,
        listing,
        int(fields[b"shard"]) if b"shard" in fields else None,
        tuple(ends[number] for number in sorted(ends)),
    )
