"""Promises of ``benchmarks/chaos.py`` as a command."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.servers.command import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

_ROOT = Path(__file__).resolve().parents[2]
_SCRIPT = (sys.executable, str(_ROOT / "benchmarks" / "chaos.py"), "--seed", "1")


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(_ROOT)}


def _processes_of(folder: Path) -> list[psutil.Process]:
    """Find what runs in or for a folder; workers name it in their environment alone."""
    found = []
    for process in psutil.process_iter():
        try:
            named = f"{process.cmdline()}{process.environ().get('HOME', '')}"
        except psutil.Error:
            continue
        if str(folder) in named:
            found.append(process)
    return found


def test_it_reports_as_json_and_removes_what_it_made(tmp_path: Path) -> None:
    """A run in which nothing goes wrong is good, and leaves neither data nor processes."""
    done = subprocess.run(
        [*_SCRIPT, "--kills", "1", "--only", "none", "--json"],
        env=_environment(tmp_path),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    report = json.loads(done.stdout)
    assert (report["lost"], report["stale"], report["duplicates"]) == (0, 0, 0)
    assert report["counters"]["rows"] > 100
    assert not list(tmp_path.glob("headrace-chaos-*"))
    assert not _processes_of(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_ended_in_the_middle_it_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    """In order, or by the reaper: servers, workers, scheduler and importer all end."""
    log = tmp_path / "said"
    with (
        log.open("wb") as said,
        subprocess.Popen(
            [*_SCRIPT, "--kills", "50", "--only", "stop worker"],
            env=_environment(tmp_path),
            stdout=said,
            stderr=said,
        ) as running,
    ):
        try:
            until(lambda: "fault 1: stop worker" in log.read_text(), "the first fault", 100)
            assert len(_processes_of(tmp_path)) > 4
            running.send_signal(number)
            assert running.wait(60) == (4 if number is signal.SIGTERM else -number)
        finally:
            running.kill()
    until(lambda: not _processes_of(tmp_path), "everything to end", 10)


def test_it_refuses_kinds_that_it_does_not_know() -> None:
    """And names those that there are."""
    done = subprocess.run(
        [*_SCRIPT, "--kills", "1", "--only", "flood"], capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"no such kind here: flood" in done.stderr
    assert b"kill worker" in done.stderr
