"""The guard of rounds."""

import pytest

from contract.ledger.records import Outcome
from producers.deleting import Deletions
from producers.tally import Tally
from producers.vigil.recent import RecentLosses, RoundGuard
from tests.producers.vigil.test_changes import Clock


def _tally(new: int = 0, deleted: int = 0) -> Tally:
    tally = Tally()
    tally.outcomes[Outcome.NEW] = new
    tally.outcomes[Outcome.DELETED] = deleted
    return tally


@pytest.mark.parametrize(
    ("gone", "known", "new", "stops"),
    [
        (10, 10, 0, False),  # a few
        (11, 11, 0, True),
        (20, 100, 0, False),
        (21, 100, 0, True),
        (90, 100, 90, False),  # renamed
        (90, 100, 60, True),
    ],
)
def test_too_many_are_stopped(gone: int, known: int, new: int, stops: bool) -> None:  # noqa: FBT001
    """More than a few, more than their share, and more than have come."""
    guard = RoundGuard(Deletions.GUARDED, 0.2, recent=RecentLosses(Clock()), tally=_tally(new))
    assert guard.stops(gone, known) is stops


def test_losses_of_a_minute_are_added_up() -> None:
    """Piece by piece is no way around the guard; after a minute it begins anew."""
    clock = Clock()
    recent = RecentLosses(clock)
    guard = RoundGuard(Deletions.GUARDED, 0.2, recent=recent, tally=_tally())
    recent.add(_tally(deleted=15))
    assert guard.stops(6, 85)
    assert "21 of the 100 documents" in guard.reason("docs", 6, 85)
    recent.add(_tally(new=15))
    assert not guard.stops(6, 100)
    clock.seconds = 61
    recent.add(_tally(deleted=15))
    clock.seconds = 122
    assert recent.documents == 0
