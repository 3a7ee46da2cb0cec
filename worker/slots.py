"""The places for batches in one worker process; used from Celery's threads."""

import contextlib
import threading
from collections.abc import Iterator


class Slots:
    """Counts what is in hand and what has come.

    Attributes:
        messages: how many have come since the start.
        taken: how many are in hand.
    """

    def __init__(self, number: int) -> None:
        """Begin with all of them free."""
        self.number = number
        self.messages = 0
        self.taken = 0
        self._lock = threading.Lock()

    @property
    def are_free(self) -> bool:
        """Whether another message would be begun at once."""
        return self.taken < self.number

    @contextlib.contextmanager
    def one_taken(self) -> Iterator[None]:
        """Take one for a message, for as long as the block lasts."""
        with self._lock:
            self.messages += 1
            self.taken += 1
        try:
            yield
        finally:
            with self._lock:
                self.taken -= 1
