"""Lines that repeat: a million documents must not make a million lines of one kind."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

BURST: Final = 20
WINDOW_SECONDS: Final = 60.0
MOST_KINDS: Final = 1_000
"""Messages are constants, so there are not many; a stranger's logger may do otherwise."""


class Repeats(logging.Filter):
    """Lets twenty lines of a kind through in a minute; the next one tells how many were not.

    A kind is a logger with a message before its arguments are put in. Errors always pass.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing seen; the clock must not jump."""
        super().__init__()
        self._now = now
        self._lock = threading.Lock()
        self._kinds: dict[tuple[str, str], tuple[float, int]] = {}  # begun, lines since

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is written."""
        if record.levelno >= logging.ERROR:
            return True
        kind = (record.name, str(record.msg))
        with self._lock:
            now = self._now()
            begun, lines = self._kinds.get(kind, (now, 0))
            if now - begun >= WINDOW_SECONDS:
                if lines > BURST:
                    record.suppressed = lines - BURST
                begun, lines = now, 0
            if len(self._kinds) >= MOST_KINDS:
                self._kinds.clear()
            self._kinds[kind] = (begun, lines + 1)
            return lines < BURST
