"""The file that takes what a child process prints."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_KEPT_BYTES = 4 * 2**20
_TAIL_BYTES = 16 * 2**10


class LogFile:
    """A log file, readable by its owner alone, of bounded size from one start to the next."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start_bytes = 0

    @contextmanager
    def appending(self) -> Iterator[int]:
        """Give a descriptor that appends, for the output of one process.

        Above 4 MiB the file is put aside first, as ``NAME.1``, in place of an older one.
        ``tail`` then shows only what was written since.
        """
        if self.path.exists() and self.path.stat().st_size > _KEPT_BYTES:
            self.path.replace(self.path.with_name(self.path.name + ".1"))
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        descriptor = os.open(self.path, flags, 0o600)
        try:
            self._start_bytes = os.fstat(descriptor).st_size
            yield descriptor
        finally:
            os.close(descriptor)

    def tail(self, lines: int = 10) -> tuple[str, ...]:
        """Give the last lines written since the last ``appending``."""
        if not self.path.exists():
            return ()
        with self.path.open("rb") as file:
            end_bytes = file.seek(0, os.SEEK_END)
            file.seek(max(self._start_bytes, end_bytes - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
        return tuple(line for line in text.splitlines() if line.strip())[-lines:]
