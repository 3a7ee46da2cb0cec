"""Promises of the tally."""

from contract.ledger.records import Outcome
from producers.document import Omission, Reason
from producers.tally import KEPT_OMISSIONS, Tally


def _omission(number: int, reason: Reason) -> Omission:
    key = f"{number}.md"
    return Omission(key, reason, "why", reason.failed, key.encode())


def test_everything_is_counted_and_failures_are_kept_apart() -> None:
    """Outcomes and omissions go into the counters; failures wait for their dead letters."""
    tally = Tally()
    tally.omit(_omission(1, Reason.EMPTY))
    tally.omit(_omission(2, Reason.UNDECODABLE))
    tally.count_outcome(Outcome.UNCHANGED, "job-1")
    tally.count_outcome(Outcome.PENDING, "job-2")
    tally.listed = 4
    tally.source_bytes = 17
    assert tally.counters() == {
        "documents_listed": 4,
        "documents_unchanged": 1,
        "documents_pending": 1,
        "documents_skipped": 1,
        "documents_unreadable": 1,
        "source_bytes": 17,
    }
    assert [failure.key for failure in tally.failures] == ["2.md"]


def test_only_jobs_of_pending_documents_are_awaited() -> None:
    """What is unchanged, new or changed makes nobody wait for another job."""
    tally = Tally()
    for outcome in Outcome:
        tally.count_outcome(outcome, f"job of {outcome}")
    tally.count_outcome(Outcome.PENDING, "")
    assert tally.awaited_jobs == {"job of pending"}
    assert tally.promised == 3, "new, changed, deleted"


def test_many_omissions_are_counted_and_some_are_named() -> None:
    """Memory is bounded, and no crowd of skipped files hides the one that failed."""
    tally = Tally()
    for number in range(KEPT_OMISSIONS + 10):
        tally.omit(_omission(number, Reason.UNKNOWN_TYPE))
    tally.omit(_omission(-1, Reason.TOO_BIG))
    assert tally.skipped == KEPT_OMISSIONS + 10
    assert len(tally.omissions) == KEPT_OMISSIONS + 1
    assert [omission.key for omission in tally.omissions if omission.failed] == ["-1.md"]
