"""Names that producers and workers must spell alike: Redis keys, queues, the task.

All keys of one collection share a hash tag (the braces), so that every atomic step finds
its keys on one node of a Redis cluster.
"""

import re
from dataclasses import dataclass

PREFIX = "headrace"

INGEST_TASK = "headrace.ingest"
BULK_QUEUE = "headrace.bulk"
LIVE_QUEUE = "headrace.live"
QUEUES = (LIVE_QUEUE, BULK_QUEUE)
"""In the order of preference of a worker that has the choice."""

COLLECTIONS_KEY = f"{PREFIX}:collections"
"""A set: the collections that have a ledger here."""

_COLLECTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")


def is_collection_name(name: str) -> bool:
    """Tell whether Milvus takes this as the name of a collection (letters, digits, _)."""
    return _COLLECTION.fullmatch(name) is not None


def listing_field(source: str) -> str:
    """Name the field of ``Keys.sources`` that numbers the listings of a source."""
    return f"{source}\0listing"


READING = "\0reading"


def reading_field(source: str) -> str:
    """Name the field of ``Keys.sources`` that numbers the readings of a source."""
    return f"{source}{READING}"


def ttl_field(source: str) -> str:
    """Name the field of ``Keys.sources`` that says how long a document may be unseen, in s."""
    return f"{source}\0ttl"


def cutting_field(source: str) -> str:
    """Name the field of ``Keys.sources`` that holds how a source was cut by its last import."""
    return f"{source}\0cutting"


def counter_field(counter: str, source: str) -> str:
    """Name the field of ``Keys.counters`` that holds a counter of a source."""
    return f"{counter}\0{source}"


@dataclass(frozen=True, slots=True)
class Keys:
    """The Redis keys of one collection's ledger."""

    collection: str

    @property
    def prefix(self) -> str:
        """What all of them begin with."""
        return f"{PREFIX}:{{{self.collection}}}"

    def document(self, document_id: str) -> str:
        """A hash: wanted and committed version of a document, and what is left to do."""
        return f"{self.prefix}:document:{document_id}"

    def batch(self, batch_id: str) -> str:
        """A hash: payload and state of an unfinished batch."""
        return f"{self.prefix}:batch:{batch_id}"

    def job(self, job: str) -> str:
        """A hash: counters of a job."""
        return f"{self.prefix}:job:{job}"

    def source(self, source: str) -> str:
        """A sorted set: documents of a source by the last listing that saw them."""
        return f"{self.prefix}:source:{source}"

    @property
    def sources(self) -> str:
        """A hash: name of a source to where it was last read from."""
        return f"{self.prefix}:sources"

    @property
    def jobs(self) -> str:
        """A sorted set: jobs by the time they began, in ms."""
        return f"{self.prefix}:jobs"

    @property
    def waiting(self) -> str:
        """A sorted set: batches that nobody has claimed, by the ms from which they may be."""
        return f"{self.prefix}:waiting"

    @property
    def leased(self) -> str:
        """A sorted set: claimed batches by the ms at which their lease ends."""
        return f"{self.prefix}:leased"

    @property
    def totals(self) -> str:
        """A hash: unfinished batches, chunks and bytes."""
        return f"{self.prefix}:totals"

    @property
    def dead(self) -> str:
        """A hash: dead letters by the document's id."""
        return f"{self.prefix}:dead"

    @property
    def dead_counts(self) -> str:
        """A hash: how many dead letters there are and ever were by reason (``dead_field``).

        The steps keep it, beside a hash of the reasons by the document's id.
        """
        return f"{self.dead}:counts"

    @property
    def counters(self) -> str:
        """A hash: counters by source that never fall (``counter_field``)."""
        return f"{self.prefix}:counters"

    def open(self, job: str) -> str:
        """A set: documents that a job has promised and that are not through."""
        return f"{self.prefix}:open:{job}"

    def parked(self, job: str) -> str:
        """A set: unfinished batches of a paused job."""
        return f"{self.prefix}:parked:{job}"

    @property
    def cancelled(self) -> str:
        """A set: cancelled jobs whose unfinished documents are not all given up yet."""
        return f"{self.prefix}:cancelled"

    @property
    def graves(self) -> str:
        """A sorted set: superseded versions by the ms at which they are deleted once more."""
        return f"{self.prefix}:graves"

    @property
    def twins(self) -> str:
        """A hash: hash of a committed content to the document that has it."""
        return f"{self.prefix}:twins"

    @property
    def meta(self) -> str:
        """A hash: ``built`` is 1 once the ledger is known to know all that Milvus holds."""
        return f"{self.prefix}:meta"

    @property
    def reserved(self) -> str:
        """A hash: job to the tokens that it has set aside, and since when that is counted."""
        return f"{self.prefix}:reserved"

    def usage(self, day: int | str) -> str:
        """A hash: source to the tokens embedded on a day (UTC), in days since 1970."""
        return f"{self.prefix}:usage:{day}"

    def lock(self, what: str) -> str:
        """A short-lived lock."""
        return f"{self.prefix}:lock:{what}"
