"""The values that the ledger takes and gives."""

from dataclasses import dataclass, field
from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """What the ledger says of a document's content."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    PENDING = "pending"
    """Promised by an earlier job that is not through yet."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A document's content, as a producer sees it."""

    document_id: str
    source: str
    key: str
    content_hash: str
    chunk_count: int


@dataclass(frozen=True, slots=True)
class Registered:
    """What the ledger made of a promise."""

    outcome: Outcome
    version: int
    job: str
    """The job that promised it: for PENDING an earlier one."""


class ClaimState(StrEnum):
    """Why a worker got a batch, or did not."""

    CLAIMED = "claimed"
    GONE = "gone"
    """Finished: this was a copy of its message."""
    TAKEN = "taken"
    """Another worker has it under a lease."""
    EARLY = "early"
    """It waits for its next attempt."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's hold on a batch."""

    state: ClaimState
    batch_id: str
    owner: str
    payload: bytes = b""
    attempts: int = 0
    """Attempts that failed and gave the batch back."""
    crashes: int = 0
    """Owners that fell silent."""


@dataclass(frozen=True, slots=True)
class PartMark:
    """One part of a batch, as ``settle`` and ``finish`` are told of it."""

    document_id: str
    version: int
    first: int
    units: int
    dead: bool = False


class Verdict(StrEnum):
    """What is to be done for a document after one of its parts was settled."""

    SUPERSEDED = "superseded"
    OPEN = "open"
    COMMIT = "commit"
    WITHDRAW = "withdraw"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True)
class Settled:
    """The verdict on one part."""

    verdict: Verdict
    versions: tuple[tuple[int, int], ...] = ()
    """COMMIT and WITHDRAW: (version, chunks) of all versions whose rows are to be deleted."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A document or a share of one that can't be ingested, with what a replay needs."""

    id: str
    document_id: str
    source: str
    key: str
    job: str
    stage: str
    reason: str
    message: str
    at_ms: int
    attempts: int = 0
    payload: bytes = b""
    """A batch of the dead chunks; empty when the document never became chunks."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found."""

    taken_away: int
    due: int
    """Batches that wait and may be claimed."""
    oldest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """What is unfinished in a collection."""

    batches: int = 0
    chunks: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Finish:
    """What a worker reports when a batch is through."""

    marks: tuple[PartMark, ...]
    verdicts: tuple[Verdict, ...]
    chunks_written: int
    tokens: int
    dead_letters: tuple[DeadLetter, ...] = field(default=())
