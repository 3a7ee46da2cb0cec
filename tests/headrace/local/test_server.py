"""Promises of a server process that may outlive its parent, with a small program as server."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from headrace.local.log_file import LogFile
from headrace.local.server import Launch, ServerProcess, inherited

_WAITS = "import signal; print('up', flush=True); signal.pause()"
_DEAF = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True); signal.pause()"


def _launch(program: str, address: str) -> Launch:
    return Launch((sys.executable, "-c", program, address), dict(os.environ), address)


class _Start:
    """Starts small servers and remembers them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = folder / "a.json"
        self.log = LogFile(folder / "a.log")
        self.address = f"address-of-{folder}"
        self.pids: list[int] = []

    def __call__(self, program: str = _WAITS) -> ServerProcess:
        process = ServerProcess.start(_launch(program, self.address), self.log, self.record)
        self.pids.append(process.pid)
        deadline = time.monotonic() + 10
        while self.log.tail() != ("up",) and time.monotonic() < deadline:
            os.sched_yield()
        return process

    def address_of(self, command: Sequence[str]) -> str | None:
        """Recognize our own servers by their last argument."""
        return self.address if command and command[-1] == self.address else None


@pytest.fixture
def start(tmp_path: Path) -> Iterator[_Start]:
    """Starts servers, and kills what is left of them at the end."""
    starter = _Start(tmp_path)
    yield starter
    for pid in starter.pids:
        process = ServerProcess.search(starter.address_of)
        if process is not None and process.pid == pid:
            os.kill(pid, signal.SIGKILL)


def test_it_is_found_again_by_its_record(start: _Start) -> None:
    """The record says which process it is and where it listens."""
    process = start()
    again = ServerProcess.read(start.record)
    assert again == process
    assert again.is_alive(start.address_of)
    assert process.address == start.address


def test_it_is_found_again_without_a_record(start: _Start) -> None:
    """A parent killed before it wrote the record does not hide the server."""
    process = start()
    found = ServerProcess.search(start.address_of)
    assert found is not None
    assert found.pid == process.pid


def test_it_has_a_session_of_its_own(start: _Start) -> None:
    """Ctrl-C in the terminal of the command does not reach it."""
    assert os.getsid(start().pid) != os.getsid(0)


def test_record_and_log_are_for_the_owner_alone(start: _Start) -> None:
    """Neither tells others anything."""
    start()
    for path in start.folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_it_stops_when_asked(start: _Start) -> None:
    """SIGTERM is enough for a server that heeds it, and no zombie is left."""
    process = start()
    began = time.monotonic()
    assert process.stop(start.address_of, grace_seconds=10.0)
    assert time.monotonic() - began < 5.0
    assert not process.is_alive(start.address_of)


def test_it_is_killed_when_it_does_not_heed(start: _Start) -> None:
    """After the grace it ends all the same."""
    process = start(_DEAF)
    assert process.stop(start.address_of, grace_seconds=0.1)
    assert not process.is_alive(start.address_of)


def test_a_pid_given_to_another_process_is_not_signalled(start: _Start) -> None:
    """The same pid with another time of creation is someone else."""
    process = start()
    stale = ServerProcess(process.pid, process.create_time - 60.0, process.address)
    assert not stale.is_alive(start.address_of)
    assert stale.stop(start.address_of, grace_seconds=0.0)
    assert process.is_alive(start.address_of)


def test_another_program_is_not_signalled(start: _Start) -> None:
    """The same pid and time with another command line is someone else."""
    process = start()

    def other(_command: Sequence[str]) -> str | None:
        return None

    assert process.stop(other, grace_seconds=0.0)
    assert psutil.pid_exists(process.pid)
    assert process.is_alive(start.address_of)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}', b"null"])
def test_a_damaged_record_is_no_record(start: _Start, content: bytes) -> None:
    """Whatever lies in the file, the next command goes on."""
    start.record.write_bytes(content)
    assert ServerProcess.read(start.record) is None


def test_settings_of_headrace_are_not_handed_on() -> None:
    """Keys and passwords of the command don't reach a server that does not need them."""
    environment = {"PATH": "/bin", "HEADRACE_EMBEDDING_API_KEY": "secret"}
    assert inherited(environment, A="1") == {"PATH": "/bin", "A": "1"}
