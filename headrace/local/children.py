"""Keeps worker processes running as long as the command that needs them."""

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from contract.errors import UsageError
from contract.settings import PARENT_VARIABLE
from headrace.local.log_file import LogFile

FATAL_CODES = frozenset({2, 3})
"""Exit codes that say that another try would end in the same way."""

DEAF_CODE = 75
"""Exit code of a worker that left because no message reached it; see ``worker.app``."""

_FIRST_BACKOFF_SECONDS = 0.2
_LONGEST_BACKOFF_SECONDS = 10.0
_SETTLED_SECONDS = 30.0
_WATCH_SECONDS = 0.1
_POLL_SECONDS = 0.02

_logger = logging.getLogger(__name__)


def backoff_seconds(failures: int) -> float:
    """Give the wait before the next start: 0.2 s after one failure, doubled up to 10 s."""
    doublings = min(failures - 1, 16)
    return float(min(_FIRST_BACKOFF_SECONDS * 2**doublings, _LONGEST_BACKOFF_SECONDS))


@dataclass(frozen=True)
class ChildFailure:
    """Why a child can never start.

    Attributes:
        returncode: its exit code, one of ``FATAL_CODES``.
        log_lines: the end of what it printed.
    """

    returncode: int
    log_lines: tuple[str, ...]


@dataclass
class _Place:
    """One of the copies, through all its restarts; times in seconds of the clock."""

    number: int
    log: LogFile
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    due_at: float | None = None
    failures: int = 0
    settled: bool = False


class Children:
    """Keeps copies of a command running, each in a session of its own.

    Ctrl-C in a terminal thus reaches the parent alone, which stops them in order. A child
    that ends on its own is started again, after a wait that grows with each failure and is
    forgotten after 30 s of life. A child that exits with 2 or 3 before any copy in its place
    has lived that long can never start: it is not started again, and ``failure`` says why.
    One that exits with 75 (EX_TEMPFAIL) asks for another start, and gets it at once.

    When the parent is killed, nobody stops the children: each finds its parent's pid in
    ``HEADRACE_PARENT_PID`` and must end itself once ``os.getppid()`` is another. (The kernel
    could do that on Linux, but the request must be made in the child: by code between fork
    and exec, which may deadlock in a program with threads, or by the child itself.)
    """

    def __init__(
        self,
        command_of: Callable[[int], Sequence[str]],
        env: Mapping[str, str],
        count: int,
        log_folder: Path,
        on_exit: Callable[[int, int], None],
        clock: Callable[[], float] = time.monotonic,
        name: str = "worker",
    ) -> None:
        """Remember what to run; nothing is started yet.

        Args:
            command_of: gives program and arguments of copy 0, 1, ...; called at every start.
            env: the whole environment of the children.
            count: how many copies to keep.
            log_folder: takes ``<name>-0.log``, ...
            on_exit: told pid and return code of every child that ends unasked (negative: the
                signal that ended it), from a thread of this object; must not raise.
            clock: seconds that never go backwards.
            name: of the log files.
        """
        self._command_of = command_of
        self._environment = {**env, PARENT_VARIABLE: str(os.getpid())}
        self._on_exit = on_exit
        self._clock = clock
        self._places = [
            _Place(number, LogFile(log_folder / f"{name}-{number}.log")) for number in range(count)
        ]
        self._failure: ChildFailure | None = None
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="children", daemon=True)

    def __enter__(self) -> Self:
        """Start all copies and the thread that watches them.

        Raises:
            UsageError: the command can't be started; copies started before are stopped.
        """
        try:
            for place in self._places:
                self._start(place)
        except OSError as error:
            self.stop(grace_seconds=0.0)
            raise UsageError(f"a worker can't be started: {error}") from error
        self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop what still runs, with 30 s of grace."""
        self.stop(grace_seconds=30.0)

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the copies that run now."""
        processes = (place.process for place in self._places)
        return tuple(process.pid for process in processes if process is not None)

    @property
    def failure(self) -> ChildFailure | None:
        """Why a child can never start, once one of them said so."""
        return self._failure

    def stop(self, grace_seconds: float) -> None:
        """End all copies: SIGTERM to each, and SIGKILL to its session after the grace.

        Harmless when called again; not to be called from ``on_exit``.
        """
        self._stopping.set()
        if self._watcher.ident is not None:
            self._watcher.join()
        processes = [place.process for place in self._places if place.process is not None]
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + grace_seconds
        while any(process.poll() is None for process in processes):
            if time.monotonic() >= deadline:
                break
            time.sleep(_POLL_SECONDS)
        for process in processes:
            if process.poll() is None:
                _logger.warning("child killed after its grace", extra={"pid": process.pid})
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for place in self._places:
            place.process = None

    def _watch(self) -> None:
        while not self._stopping.wait(_WATCH_SECONDS):
            for place in self._places:
                self._tend(place)

    def _tend(self, place: _Place) -> None:
        """Do what is due for one copy: notice its end, or start it again."""
        now = self._clock()
        if place.process is not None:
            if now - place.started_at >= _SETTLED_SECONDS:
                place.settled = True
                place.failures = 0
            returncode = place.process.poll()
            if returncode is not None:
                self._note_exit(place, place.process.pid, returncode)
        elif place.due_at is not None and now >= place.due_at:
            try:
                self._start(place)
            except OSError as error:
                _logger.warning("child not started", extra={"reason": str(error)})
                self._postpone(place)

    def _note_exit(self, place: _Place, pid: int, returncode: int) -> None:
        place.process = None
        if returncode in FATAL_CODES and not place.settled:
            self._failure = self._failure or ChildFailure(returncode, place.log.tail())
        elif returncode == DEAF_CODE:
            place.due_at = self._clock()
        else:
            self._postpone(place)
        _logger.warning("child ended", extra={"pid": pid, "returncode": returncode})
        self._on_exit(pid, returncode)

    def _postpone(self, place: _Place) -> None:
        place.failures += 1
        place.due_at = self._clock() + backoff_seconds(place.failures)

    def _start(self, place: _Place) -> None:
        with place.log.appending() as output:
            place.process = subprocess.Popen(  # noqa: S603 - our own command line, no shell
                list(self._command_of(place.number)),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                umask=0o077,
            )
        place.started_at = self._clock()
        place.due_at = None
