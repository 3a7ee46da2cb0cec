"""All metrics of the exporter: names, labels, and the label values that are known beforehand.

Series whose labels have all their values here are there as soon as their section was read once,
at 0: no panel is empty, and ``increase()`` misses no first event. They are not there before: a
counter that begins at 0 and then finds a million in Redis would look like a million events.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product
from typing import Final, Literal

from contract.lane import Lane
from headrace.schedules.run import RunState
from producers.document import Reason

PREFIX: Final = "headrace_"
OTHER: Final = "other"
"""For what has no place of its own; names no source, schedule or reason."""


class Section(StrEnum):
    """What is read together, and is out of date together."""

    LEDGER = "ledger"
    SCHEDULES = "schedules"
    REDIS = "redis"
    MILVUS = "milvus"
    DRIFT = "drift"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric."""

    section: Section
    kind: Literal["gauge", "counter"]
    name: str
    """Without the prefix, and without the suffix of a counter."""
    says: str
    labels: tuple[str, ...] = ()
    values: Sequence[tuple[str, ...]] = field(default=(), hash=False)
    """Of each label, if all are known; empty for one with labels that are not."""

    @property
    def full_name(self) -> str:
        """Give the name as it is scraped."""
        return f"{PREFIX}{self.name}{'_total' if self.kind == 'counter' else ''}"

    @property
    def first_series(self) -> Iterator[tuple[str, ...]]:
        """Give the label values of the series that are there from the start."""
        return product(*self.values) if len(self.values) == len(self.labels) else iter(())


LANES: Final = tuple(lane.value for lane in Lane)
STATES: Final = ("waiting", "resting", "leased", "parked")
OUTCOMES: Final = (
    "committed", "unchanged", "failed", "unreadable", "skipped", "superseded", "cancelled"
)  # fmt: skip
REASONS: Final = (
    *sorted(reason.value for reason in Reason if reason.failed),
    "BatchDecodeError",
    "EmbeddingDeniedError",
    "EmbeddingRefusedError",
    "EmbeddingReplyError",
    "KillsWorkersError",
    "StoreRejectedError",
    "ThrottledError",
    "TimedOutError",
    "TransientError",
    "UnreachableError",
    OTHER,
)
JOB_STATES: Final = ("listing", "watching", "ingesting", "paused", "interrupted")
DOCUMENT_STATES: Final = ("listed", "settled", "failed")
RUN_STATES: Final = tuple(state.value for state in RunState)
WORKERS: Final = ("worker", "producer")
DEPENDENCIES: Final = ("embedding", "milvus")
DRIFTS: Final = ("missing_rows", "stale_rows", "extra_rows")

MOST_SOURCES: Final = 100
MOST_COLLECTIONS: Final = 100
MOST_SCHEDULES: Final = 100
MOST_JOBS: Final = 50

_SOURCE = ("collection", "source")
_L, _S, _R, _M, _D = Section


def _gauge(
    section: Section,
    name: str,
    says: str,
    labels: tuple[str, ...] = (),
    *values: tuple[str, ...],
) -> Metric:
    return Metric(section, "gauge", name, says, labels, values)


def _counter(
    section: Section,
    name: str,
    says: str,
    labels: tuple[str, ...] = (),
    *values: tuple[str, ...],
) -> Metric:
    return Metric(section, "counter", name, says, labels, values)


# --- counters that live in Redis

SOURCE_DOCUMENTS = _counter(
    _L, "source_documents", "Documents by what became of them; deletions are committed too.",
    (*_SOURCE, "outcome"),
)  # fmt: skip
SOURCE_CHUNKS = _counter(_L, "source_chunks", "Chunks written.", _SOURCE)
SOURCE_DELETES = _counter(_L, "source_deletes", "Documents deleted.", _SOURCE)
SOURCE_BYTES = _counter(_L, "source_bytes", "Bytes read from the source.", _SOURCE)
SOURCE_TOKENS = _counter(_L, "source_tokens", "Tokens embedded.", _SOURCE)
LETTERS_WRITTEN = _counter(
    _L, "dead_letters", "Dead letters written; one that is found again is no new one.",
    ("reason",), REASONS,
)  # fmt: skip

# --- ledgers

LETTERS = _gauge(
    _L, "dead_letters", "Documents that can't be ingested.", ("reason",), REASONS
)  # fmt: skip
BATCHES = _gauge(
    _L, "unfinished_batches", "Batches that are not finished.", ("lane", "state"), LANES, STATES
)
CHUNKS = _gauge(_L, "unfinished_chunks", "Chunks of unfinished batches.")
BYTES = _gauge(_L, "unfinished_bytes", "Payload of unfinished batches.")
OLDEST = _gauge(
    _L, "oldest_unfinished_age_seconds",
    "Since the oldest unfinished batch was published; paused ones do not count; 0: there is none.",
    ("lane",), LANES,
)  # fmt: skip
QUEUED = _gauge(_L, "queue_messages", "Messages that wait at the broker.", ("lane",), LANES)
UNACKNOWLEDGED = _gauge(
    _L, "queue_unacknowledged_messages",
    "Messages that the broker handed out, not begun yet; 0 where it does not tell.",
    ("lane",), LANES,
)  # fmt: skip
ACTIVE_JOBS = _gauge(_L, "active_jobs", "Jobs that are not through.", ("state",), JOB_STATES)
JOB_DOCUMENTS = _gauge(
    _L, "job_documents", "Documents of active jobs.", (*_SOURCE, "state")
)  # fmt: skip
JOB_ETA = _gauge(
    _L, "job_eta_seconds", "Until the active jobs are through at their pace; 0: not known.", _SOURCE
)
JOB_PROGRESS = _gauge(
    _L, "job_progress_ratio", "Settled of the documents that active jobs have promised.", _SOURCE
)
SOURCE_SUCCESS = _gauge(
    _L, "source_last_success_timestamp_seconds",
    "When the source was last brought as a whole, else when it was first seen.", _SOURCE,
)  # fmt: skip
SOURCE_AGE = _gauge(_L, "source_age_seconds", "Since then.", _SOURCE)
DOCUMENTS = _gauge(_L, "source_documents", "Documents that are not deleted.", _SOURCE)
HELD = _gauge(_L, "held_sources", "Sources whose newest job stopped at a budget.")
TOKENS_TODAY = _gauge(_L, "tokens_today", "Tokens embedded since midnight (UTC).")
COST_TODAY = _gauge(_L, "cost_today_dollars", "What they cost; 0 where no price is known.")
PRESENT = _gauge(
    _L, "workers_present", "Processes that gave a sign of life.", ("kind",), WORKERS
)  # fmt: skip
WAITING = _gauge(
    _L, "workers_waiting", "Workers that wait for a server.", ("dependency",), DEPENDENCIES
)

# --- schedules

SCHEDULES = _gauge(_S, "schedules", "Schedules.", ("state",), ("active", "paused"))
OVERDUE = _gauge(
    _S, "schedule_overdue", "Whether it is due and nobody deals with it.", ("schedule",)
)
SCHEDULE_SUCCESS = _gauge(
    _S, "schedule_last_success_timestamp_seconds",
    "End of the last run that was done, else when the schedule was made.", ("schedule",),
)  # fmt: skip
NEXT_DUE = _gauge(
    _S, "schedule_next_due_timestamp_seconds", "When it is due next; 0: paused.", ("schedule",)
)
INTERVAL = _gauge(
    _S, "schedule_interval_seconds", "Between its next two times.", ("schedule",)
)  # fmt: skip
RUNS = _gauge(
    _S, "schedule_runs", "Runs of the kept history (a hundred).", ("schedule", "state")
)  # fmt: skip

# --- servers

MEMORY = _gauge(_R, "redis_used_memory_bytes", "Memory that Redis uses.")
MAX_MEMORY = _gauge(_R, "redis_max_memory_bytes", "Memory that it may use; 0: no limit.")
EVICTED = _counter(_R, "redis_evicted_keys", "Keys that it dropped: must not happen.")
PERSISTENCE = _gauge(_R, "redis_persistence_ok", "Whether its last writes to disk went well.")
CLIENTS = _gauge(_R, "redis_connected_clients", "Its clients.")
ROWS = _gauge(_M, "milvus_rows", "Rows of collections that have a ledger.", ("collection",))

# --- ledger and Milvus compared

DRIFT_CHECKED = _counter(
    _D, "drift_documents_checked", "Committed documents whose rows were looked at."
)
DRIFT_FOUND = _counter(
    _D, "drift_documents", "Of these, those whose rows are not as the ledger says.",
    ("kind",), DRIFTS,
)  # fmt: skip
DRIFT = _gauge(
    _D, "drift_documents", "Share of such documents in the last sample.", ("kind",), DRIFTS
)

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""All of them but those of the exporter itself (``board.py``)."""
