"""Promises of the log files of child processes."""

import os
from pathlib import Path

from headrace.local.log_file import LogFile


def _append(log: LogFile, text: str) -> None:
    with log.appending() as descriptor:
        os.write(descriptor, text.encode())


def test_the_tail_is_of_this_start(tmp_path: Path) -> None:
    """Lines of an earlier process don't explain the failure of this one."""
    log = LogFile(tmp_path / "a.log")
    _append(log, "old\n")
    _append(log, "one\n\ntwo\nthree\n")
    assert log.tail(2) == ("two", "three")
    assert log.tail() == ("one", "two", "three")


def test_a_log_never_written_has_no_tail(tmp_path: Path) -> None:
    """No file is no error."""
    assert LogFile(tmp_path / "a.log").tail() == ()


def test_a_big_log_is_put_aside(tmp_path: Path) -> None:
    """At a start, a log above 4 MiB makes room and is kept once."""
    log = LogFile(tmp_path / "a.log")
    log.path.write_bytes(b"x" * (4 * 2**20 + 1))
    _append(log, "new\n")
    assert log.path.read_text() == "new\n"
    assert (tmp_path / "a.log.1").stat().st_size == 4 * 2**20 + 1
    assert log.path.stat().st_mode & 0o777 == 0o600
