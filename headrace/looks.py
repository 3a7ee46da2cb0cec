"""Looks at the status, one after the other: each becomes an overview with rates."""

from collections import deque

from headrace.overview import Overview, overview
from headrace.progress import WINDOW_SECONDS
from headrace.status import Status


class Looks:
    """Remembers the looks of the last seconds."""

    def __init__(self, tokens_per_day: int | None) -> None:
        """Begin without looks; what a source may have embedded on a day is only shown."""
        self._tokens_per_day = tokens_per_day
        self._looks: deque[Status] = deque()

    def add(self, status: Status) -> Overview:
        """Take a look, and give the overview."""
        if self._looks and status.now_ms < self._looks[-1].now_ms:
            self._looks.clear()  # the clock was set back
        self._looks.append(status)
        since = status.now_ms - WINDOW_SECONDS * 1000
        while len(self._looks) > 2 and self._looks[1].now_ms <= since:  # noqa: PLR2004 - a pair
            self._looks.popleft()
        return overview(self._looks[0], status, tokens_per_day=self._tokens_per_day)
