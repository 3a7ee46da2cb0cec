"""Promises of the file locks."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.errors import TimedOutError
from headrace.local.lock import FileLock

_HOLDER = """
import sys
from pathlib import Path
from headrace.local.lock import FileLock
lock = FileLock(Path(sys.argv[1]))
lock.exclude(5.0)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the lock lies."""
    return tmp_path / "a.lock"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock alone."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_an_exclusive_lock_keeps_others_out_and_names_its_holder(
    path: Path, holder: subprocess.Popen[bytes]
) -> None:
    """Who waits in vain learns which process has it."""
    with pytest.raises(TimedOutError, match=f"pid {holder.pid}"):
        FileLock(path).exclude(0.0)


def test_the_lock_falls_with_its_holder(path: Path, holder: subprocess.Popen[bytes]) -> None:
    """A killed holder leaves no stale lock behind."""
    holder.kill()
    lock = FileLock(path)
    lock.exclude(5.0)
    lock.release()


def test_many_share_and_none_excludes(path: Path) -> None:
    """Shared holders live side by side; the last one left can have it alone."""
    first, second = FileLock(path), FileLock(path)
    assert first.try_share()
    assert second.try_share()
    assert not first.try_exclude()
    assert second.try_exclude()
    second.release()


def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    """Nobody else can take the lock and block the owner."""
    lock = FileLock(path)
    assert lock.try_exclude()
    lock.release()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_forked_child_does_not_hold_it(path: Path) -> None:
    """A child that outlives its parent does not keep the parent's lock."""
    lock = FileLock(path)
    lock.exclude(0.0)
    child = os.fork()
    if child == 0:
        signal.pause()
    try:
        lock.release()
        again = FileLock(path)
        again.exclude(5.0)
        again.release()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
