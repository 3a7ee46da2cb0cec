"""Promises of ``headrace status --watch`` as a process: it goes on, and it ends well."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.servers.command import Command, Running
from tests.servers.redis import redis_tcp_server
from tests.servers.worker import environment, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

PROGRAM = (sys.executable, "-c", "from headrace.cli.main import main; main()")
NOWHERE = "http://127.0.0.1:1"


def _told(running: Running) -> list[dict[str, Any]]:
    """Give the whole lines so far, each of which must be a JSON object."""
    whole, _, _ = running.given.rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


def test_it_goes_on_through_an_outage(tmp_path: Path) -> None:
    """It says that Redis is away, shows what was known, and is of now again on its return."""
    with redis_tcp_server(tmp_path) as redis:
        command = Command(tmp_path, redis_url=redis.url, milvus_uri=NOWHERE)
        with command.started("status", "--watch", "0.2", "--json") as watch:
            until(lambda: len(_told(watch)) > 2, "some frames")
            assert all(told["verdict"] == "fine" and not told["outage"] for told in _told(watch))
            redis.kill()
            until(lambda: _told(watch)[-1]["outage"], "the outage")
            assert _told(watch)[-1]["verdict"] == "fine", "what was known"
            redis.start()
            until(lambda: not _told(watch)[-1]["outage"], "the return")
            watch.send(signal.SIGINT)
            assert watch.wait().expect(0).err == ""


def test_it_waits_for_redis_from_the_beginning(tmp_path: Path) -> None:
    """One who starts it during an outage sees its end; wrong settings still end it."""
    command = Command(tmp_path, redis_url="redis://:sesame@127.0.0.1:1/0", milvus_uri=NOWHERE)
    with command.started("status", "--watch", "0.2") as watch:
        until(lambda: watch.given.count("waiting") > 1, "two frames")
        assert "127.0.0.1:1" in watch.given
        assert "sesame" not in watch.given
        watch.send(signal.SIGINT)
        watch.wait().expect(0)
    Command(tmp_path, redis_url="redis://127.0.0.1/0").run("status", "--watch").expect(2)


def test_piped_it_is_plain(tmp_path: Path) -> None:
    """A frame for each tick without a single escape code; nobody who reads ends it quietly."""
    with redis_tcp_server(tmp_path) as redis:
        settings = {"redis_url": redis.url, "milvus_uri": NOWHERE}
        process = subprocess.Popen(
            [*PROGRAM, "status", "--watch", "0.2"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment(tmp_path, **settings), "FORCE_COLOR": ""},
            cwd=tmp_path,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline().decode() for _ in range(16)]
        process.stdout.close()
        assert process.wait(20) == 0
        assert process.stderr.read() == b""
        process.stderr.close()
    frames = [line for line in lines if re.fullmatch(r"● fine +\d\d:\d\d:\d\d UTC\n", line)]
    assert len(frames) >= 2
    assert not [line for line in lines if "\x1b" in line]
    assert "throughput  0 chunks/s · 0 documents/s\n" in lines


def test_on_a_terminal_the_cursor_is_given_back(tmp_path: Path) -> None:
    """Frames are drawn over each other; Ctrl-C ends it with the cursor shown and exit code 0."""
    ours, theirs = pty.openpty()
    seen = bytearray()

    def read() -> None:
        while True:
            try:
                found = os.read(ours, 65536)
            except OSError:
                return
            if not found:
                return
            seen.extend(found)

    with redis_tcp_server(tmp_path) as redis:
        settings = {"redis_url": redis.url, "milvus_uri": NOWHERE}
        process = subprocess.Popen(
            [*PROGRAM, "status", "--watch", "0.2"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**environment(tmp_path, **settings), "TERM": "xterm", "COLUMNS": "80"},
            cwd=tmp_path,
        )
        os.close(theirs)
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        until(lambda: seen.count(b"throughput") > 2, "frames")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        reader.join(5)
        os.close(ours)
    assert b"\x1b[?25l" in seen
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l")
    assert b"\x1b[1A" in seen or b"\x1b[2K" in seen
    assert b"Traceback" not in seen
