"""Locks on files that the kernel drops when their holder dies."""

import contextlib
import fcntl
import os
import time
import weakref
from collections.abc import Callable
from pathlib import Path

from contract.errors import TimedOutError

_POLL_SECONDS = 0.05


class FileLock:
    """An advisory lock by ``flock``, exclusive or shared.

    Two objects exclude each other also within one process. The file stays where it is for
    ever: removing it would let two holders lock two different files. Processes forked while
    the lock is held don't hold it: otherwise the idle children of a killed command would
    keep it. Not for use by several threads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _forget(this()))

    def exclude(self, wait_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the lock alone.

        Args:
            wait_seconds: how long to wait for other holders.
            clock: seconds that never go backwards.

        Raises:
            TimedOutError: someone else kept it; the message names them.
        """
        deadline = clock() + wait_seconds
        while not self.try_exclude():
            if clock() >= deadline:
                holder = self.holder()
                self.release()
                raise TimedOutError(
                    f"{self.path}: held for {wait_seconds:g} s by another headrace command "
                    f"({holder}) that starts or stops servers; wait for it, or end it"
                )
            time.sleep(_POLL_SECONDS)

    def try_exclude(self) -> bool:
        """Take the lock alone if nobody else has it; a shared hold is lost if it fails."""
        if not self._try(fcntl.LOCK_EX):
            return False
        descriptor = self._open()
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()}".encode(), 0)
        return True

    def try_share(self) -> bool:
        """Take the lock together with others, in place of an exclusive hold if there is one."""
        return self._try(fcntl.LOCK_SH)

    def release(self) -> None:
        """Let go; harmless when not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> str:
        """Say who took the lock alone last, as in ``pid 123``."""
        return self.path.read_text(encoding="utf-8") or "unknown"

    def _try(self, operation: int) -> bool:
        try:
            fcntl.flock(self._open(), operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _open(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._descriptor


def _forget(lock: FileLock | None) -> None:
    """Close a forked copy of the descriptor; the parent's hold is untouched by that."""
    if lock is not None:
        with contextlib.suppress(OSError):
            lock.release()
