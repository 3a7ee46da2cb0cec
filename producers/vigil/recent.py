"""Recent losses: the guard against mass deletion, for deletions that come piece by piece."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from contract.ledger.records import Outcome
from producers.deleting import Guard
from producers.tally import Tally

WINDOW_SECONDS: Final = 60.0
FEW: Final = 10
"""So many documents are deleted whatever share they are: someone deletes files by hand."""


class RecentLosses:
    """How many documents a source lost in the last minute, less those that came."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Begin without any.

        Args:
            now: a clock that does not jump, in seconds.
        """
        self._now = now
        self._losses: deque[tuple[float, int]] = deque()

    @property
    def documents(self) -> int:
        """Add up the last minute; less than 0 where more came than went."""
        while self._losses and self._now() - self._losses[0][0] > WINDOW_SECONDS:
            self._losses.popleft()
        return sum(documents for _, documents in self._losses)

    def add(self, tally: Tally) -> None:
        """Count what a round brought and deleted."""
        lost = tally.outcomes[Outcome.DELETED] - tally.outcomes[Outcome.NEW]
        if lost:
            self._losses.append((self._now(), lost))


@dataclass(frozen=True, slots=True)
class RoundGuard(Guard):
    """Guards one round: what was renamed is new elsewhere, and so is no loss."""

    recent: RecentLosses
    tally: Tally
    """Of the round, in which new documents come before deletions."""

    def stops(self, gone: int, known: int) -> bool:
        """Tell whether so many are too many, with those of the last minute."""
        lost, before = self._losses(gone, known)
        return lost > FEW and Guard.stops(self, lost, before)

    def reason(self, source: str, gone: int, known: int) -> str:
        """Say why it stops, and how to go on."""
        return Guard.reason(self, source, *self._losses(gone, known))

    def _losses(self, gone: int, known: int) -> tuple[int, int]:
        recent = self.recent.documents
        return gone + recent - self.tally.outcomes[Outcome.NEW], known + max(recent, 0)
