"""A server process that may outlive the command that started it."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import orjson
import psutil

from headrace.local.log_file import LogFile

_POLL_SECONDS = 0.02
_KILL_SECONDS = 5.0
_COMMAND_SECONDS = 1.0
_COMMAND_POLL_SECONDS = 0.001
# Linux tells when a process began in ticks since boot, and the time of boot in whole
# seconds, which jitters when the clock is adjusted.
_CREATE_TIME_TOLERANCE_SECONDS = 2.0

AddressOf = Callable[[Sequence[str]], str | None]
"""Reads the address out of a command line; None for any other program."""


@dataclass(frozen=True)
class Launch:
    """How to start a server.

    Attributes:
        command: program and arguments; they name the data folder and the address.
        environment: the whole environment of the process.
        address: where it will listen.
        reservation: a socket to leave open in the process, or None; closed here once handed on.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    address: str
    reservation: socket.socket | None = None


@dataclass(frozen=True)
class ServerProcess:
    """A server process, known by its pid and the time at which it began.

    Attributes:
        pid: process id, which the system may give to another program later.
        create_time: seconds since the epoch.
        address: where it listens, in the words of its own kind of server.
        ready: it has answered once.
    """

    pid: int
    create_time: float
    address: str
    ready: bool = False

    @classmethod
    def start(cls, launch: Launch, log: LogFile, record: Path) -> "ServerProcess":
        """Start a server in a session of its own and write its record.

        Its session keeps Ctrl-C away from it; everything it creates is owner-only.

        Raises:
            OSError: the program can't be started.
        """
        reservation = launch.reservation
        with log.appending() as output, reservation or contextlib.nullcontext():
            # Waited for in a thread: whoever stops it, no zombie stays behind.
            child = subprocess.Popen(  # noqa: S603 - our own command line, no shell
                launch.command,
                env=launch.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                umask=0o077,
                pass_fds=() if reservation is None else (reservation.fileno(),),
            )
        create_time = _began(child.pid)
        threading.Thread(target=child.wait, name=f"wait-{child.pid}", daemon=True).start()
        process = cls(child.pid, create_time, launch.address)
        process.write(record)
        return process

    @classmethod
    def read(cls, record: Path) -> "ServerProcess | None":
        """Read a record; None if there is none or it is damaged."""
        try:
            fields = orjson.loads(record.read_bytes())
            return cls(
                pid=int(fields["pid"]),
                create_time=float(fields["create_time"]),
                address=str(fields["address"]),
                ready=fields["ready"] is True,
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    @classmethod
    def search(cls, address_of: AddressOf) -> "ServerProcess | None":
        """Look through all processes of this user, for a server without a usable record."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                address = address_of(process.cmdline())
                if address is not None and _is_own(process):
                    return cls(process.pid, process.create_time(), address)
        return None

    def write(self, record: Path) -> None:
        """Write the record in one step, so that no reader sees half of it."""
        draft = record.with_name(f"{record.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps(asdict(self)))
        draft.replace(record)

    def as_ready(self) -> "ServerProcess":
        """Give the same process, known to have answered."""
        return replace(self, ready=True)

    def is_alive(self, address_of: AddressOf) -> bool:
        """Say whether the process runs, and is still this server and no other program."""
        return self._process(address_of) is not None

    def _process(self, address_of: AddressOf) -> psutil.Process | None:
        try:
            process = psutil.Process(self.pid)
            apart_seconds = abs(process.create_time() - self.create_time)
            same = (
                apart_seconds <= _CREATE_TIME_TOLERANCE_SECONDS
                and _is_own(process)
                and address_of(process.cmdline()) == self.address
            )
        except psutil.Error:
            return None
        return process if same else None

    def stop(self, address_of: AddressOf, grace_seconds: float) -> bool:
        """Ask the server to end, and end it after the grace; a foreign process is left alone.

        Returns:
            Whether it is gone.
        """
        for number, wait_seconds in (
            (signal.SIGTERM, grace_seconds),
            (signal.SIGKILL, _KILL_SECONDS),
        ):
            process = self._process(address_of)
            if process is None:
                return True
            with contextlib.suppress(psutil.NoSuchProcess):
                # psutil compares pid and begin once more before it sends anything.
                process.send_signal(number)
            if self._is_gone_within(wait_seconds, address_of):
                return True
        return False

    def _is_gone_within(self, wait_seconds: float, address_of: AddressOf) -> bool:
        deadline = time.monotonic() + wait_seconds
        while self.is_alive(address_of):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True


def _began(pid: int) -> float:
    """Give a new child's time of creation, once its command line can be read.

    For an instant after a program was started the system shows none.
    """
    deadline = time.monotonic() + _COMMAND_SECONDS
    try:
        process = psutil.Process(pid)
        while not process.cmdline() and time.monotonic() < deadline:
            time.sleep(_COMMAND_POLL_SECONDS)
        return process.create_time()
    except psutil.NoSuchProcess:
        return time.time()


def inherited(environment: Mapping[str, str], **more: str) -> dict[str, str]:
    """Give the environment for a server: the command's own, without headrace's settings."""
    kept = {name: text for name, text in environment.items() if not name.startswith("HEADRACE_")}
    return kept | more


def _is_own(process: psutil.Process) -> bool:
    return process.uids().effective == os.geteuid()
