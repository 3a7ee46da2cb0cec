"""The values that the ledger takes and gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from contract.lane import Lane


class Outcome(StrEnum):
    """What the ledger says of a document's content."""

    NEW = "new"
    CHANGED = "changed"
    DELETED = "deleted"
    """A version without chunks is promised: its rows are to go."""
    UNCHANGED = "unchanged"
    PENDING = "pending"
    """Promised by an earlier job that is not through yet."""
    OUTDATED = "outdated"
    """The ledger knows better than the caller, and promised nothing: look again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A document's content, as a producer sees it."""

    document_id: str
    source: str
    key_bytes: bytes
    content_hash: str
    chunk_count: int
    """0 deletes the document."""
    reading: int = 0
    """Number of the reading (``Promises.begin_reading``); OUTDATED when other content was
    promised by one who began to read later. 0: not compared."""
    unseen_since: int = 0
    """Number of a listing: OUTDATED when that one or a later one has seen the document."""
    only_wanted: bool = False
    """OUTDATED unless this is the content that the ledger wants now (for replays)."""
    missing: int = 0
    """Chunks that were accepted to be missing."""
    stamp: str = ""
    """By which the content is known without being read (``ids.content_stamp``); may be empty."""
    position: str = ""
    """Where it stands in a stream that several read, as '<ms>-<sequence>': OUTDATED when other
    content was promised from a later place, whoever read it later. Empty: not compared."""


@dataclass(frozen=True, slots=True)
class Registered:
    """What the ledger made of a promise."""

    outcome: Outcome
    version: int
    job: str
    """The job that promised it: for PENDING an earlier one."""
    twin: str = ""
    """NEW: a document with committed rows of the same content (a file that was moved)."""


@dataclass(frozen=True, slots=True)
class Gone:
    """A document that a listing has not seen."""

    document_id: str
    key_bytes: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger wants of a document; 0 where there is no such version."""

    wanted: int
    committed: int
    committed_count: int
    withdrawn: int
    """A version that was given up: it will never be committed."""

    def wants(self, version: int) -> bool:
        """Tell whether rows of this version are still to be written."""
        return self.wanted == version and self.withdrawn != version


class ClaimState(StrEnum):
    """Why a worker got a batch, or did not."""

    CLAIMED = "claimed"
    GONE = "gone"
    """Finished: this was a copy of its message."""
    TAKEN = "taken"
    """Another worker has it under a lease."""
    EARLY = "early"
    """It waits for its next attempt."""
    PAUSED = "paused"
    """Its job is paused; the batch is put aside until that goes on."""
    CANCELLED = "cancelled"
    """Its job is cancelled; the batch has been struck off."""


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
    alone_crashes: int = 0
    """Of these, those that had nothing else in hand (``Ledger.mark_alone``)."""
    first_error: str = ""
    """Why the first attempt failed."""
    age_ms: int | None = None
    """Since it, or the batch that it was split off, was first published, by Redis' clock; None of
    a batch that an older release published."""
    waited_ms: int | None = None
    """For which it could have been claimed, without its rests; None where that is not known."""


@dataclass(frozen=True, slots=True)
class PartMark:
    """One part of a batch, as ``settle`` and ``finish`` are told of it."""

    document_id: str
    version: int
    first: int
    units: int
    death: bytes = b""
    """A ``DeadPart``, encoded, if a chunk of the part can't be ingested."""


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
    unknown_older: bool = False
    """COMMIT: the ledger was lost once, so there may be rows of versions it does not know."""
    deaths: tuple[bytes, ...] = ()
    """WITHDRAW: the dead parts of the document, from all its batches."""
    letter_kept: bool = False
    """WITHDRAW: the dead letter of this version is written already."""


class DeadPart(msgspec.Struct, frozen=True, kw_only=True):
    """Why a part can't be ingested; kept in the ledger until its document is through."""

    stage: str
    reason: str
    message: str
    first_error: str
    attempts: int
    at_ms: int
    ordinals: tuple[int, ...]
    """The chunks that are to blame."""
    payload: bytes
    """A batch of this part alone."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A document that can't be ingested, with what a replay needs; one for a document."""

    document_id: str
    version: int = 0
    """The version that was withdrawn; 0 when the document never became chunks."""
    source: str
    key: str
    key_bytes: bytes
    job: str
    stage: str
    """read, embed or write."""
    reason: str
    message: str
    """The last error, without secrets."""
    first_error: str = ""
    at_ms: int
    attempts: int = 0
    chunk_count: int = 0
    ordinals: tuple[int, ...] = ()
    """The chunks that are to blame."""
    payload: bytes = b""
    """A batch with all chunks of the document; empty when it never became chunks, or is too
    large to be kept: then it is read from its source again."""


@dataclass(frozen=True, slots=True)
class SweptLane:
    """What a sweep found in one lane."""

    taken_away: int
    due: int
    """Batches that wait and may be claimed."""
    oldest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found."""

    lanes: Mapping[Lane, SweptLane]

    @property
    def taken_away(self) -> int:
        """Batches that were taken from silent owners, in all lanes."""
        return sum(lane.taken_away for lane in self.lanes.values())

    @property
    def due(self) -> int:
        """Batches that wait and may be claimed, in all lanes."""
        return sum(lane.due for lane in self.lanes.values())

    @property
    def oldest(self) -> tuple[str, ...]:
        """Those that wait and may be claimed, lane by lane."""
        return tuple(batch_id for lane in self.lanes.values() for batch_id in lane.oldest)


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
    chunks_reused: int = 0
    """Of those written, the ones whose vectors were read back instead of made."""
    chunks_cached: int = 0
    """Likewise, the ones whose vectors came from the embedding cache."""
    tokens_saved: int = 0
    """What these had cost, as far as the endpoint told."""


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows of one version of a document, which are to be deleted."""

    document_id: str
    version: int
    count: int
    unknown_older: bool = False
    """Also rows of versions before this one that the ledger does not know of."""
