"""What a producer has seen so far."""

from collections import Counter
from dataclasses import dataclass, field

from contract.ledger.records import Outcome
from producers.document import Omission, Reason

KEPT_OMISSIONS = 1_000
"""How many omissions of each kind, failed and on purpose, are kept by name; all are counted."""

FLEETING = frozenset({Reason.CHANGED, Reason.VANISHED})
"""What is over when a file rests: whoever looks again need not call it a failure."""


@dataclass(slots=True)
class Tally:
    """Counts and names, for the job's record and the summary."""

    listed: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    skipped: int = 0
    failed: int = 0
    source_bytes: int = 0
    omissions: list[Omission] = field(default_factory=list)
    failures: list[Omission] = field(default_factory=list)
    """Failed omissions that are not in the ledger yet; the producer empties this."""
    awaited_jobs: set[str] = field(default_factory=set)
    """Other jobs whose documents this one found promised and not through."""
    incomplete: bool = False
    """The listing did not see everything, so nothing was deleted."""
    held: str = ""
    """Why documents that were to be brought were not even promised: a budget is reached."""
    kept: int = 0
    """Documents that are gone from the source and were kept, by a guard or on demand."""

    postponed: list[Omission] | None = None
    """Fleeting failures, where someone looks again and empties this; None: they are failures."""

    def omit(self, omission: Omission) -> None:
        """Count something that is listed and will not become a document."""
        if self.postponed is not None and omission.reason in FLEETING:
            self.postponed.append(omission)
            return
        if omission.failed:
            self.failed += 1
            self.failures.append(omission)
        else:
            self.skipped += 1
        if (self.failed if omission.failed else self.skipped) <= KEPT_OMISSIONS:
            self.omissions.append(omission)

    def count_outcome(self, outcome: Outcome, job: str) -> None:
        """Count what the ledger said of a document; no job: one that nobody need wait for."""
        self.outcomes[outcome] += 1
        if outcome is Outcome.PENDING and job:
            self.awaited_jobs.add(job)

    def add(self, other: "Tally") -> None:
        """Count what another producer of the same job has seen; its failures are written down."""
        self.listed += other.listed
        self.outcomes += other.outcomes
        self.skipped += other.skipped
        self.failed += other.failed
        self.source_bytes += other.source_bytes
        self.kept += other.kept
        self.omissions += other.omissions[: max(0, 2 * KEPT_OMISSIONS - len(self.omissions))]

    @property
    def promised(self) -> int:
        """Documents to which the ledger gave a version."""
        given = (Outcome.NEW, Outcome.CHANGED, Outcome.DELETED)
        return sum(self.outcomes[outcome] for outcome in given)

    def counters(self) -> dict[str, int]:
        """Give the counters that belong to the producer alone, as the job keeps them."""
        return {
            "documents_listed": self.listed,
            "documents_unchanged": self.outcomes[Outcome.UNCHANGED],
            "documents_pending": self.outcomes[Outcome.PENDING],
            "documents_skipped": self.skipped,
            "documents_unreadable": self.failed,
            "source_bytes": self.source_bytes,
        }
