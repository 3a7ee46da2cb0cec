"""Ends what a run has started, should the run itself be killed.

Servers and workers run in sessions of their own, so nothing takes them along. This program
reads "+PID" and "-PID" lines, and once its standard input ends, as it does with its parent,
kills those that are left: the same processes, not others that got their numbers later.
"""

import contextlib
import subprocess
import sys

import psutil

_STOP_SECONDS = 10.0


class Reaper:
    """The program as a child of the run; ``close`` it last."""

    def __init__(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(  # noqa: S603 - this file
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def watch(self, pid: int) -> None:
        """End this process when the run ends."""
        self._tell(f"+{pid}")

    def forget(self, pid: int) -> None:
        """It has ended, and was waited for."""
        self._tell(f"-{pid}")

    def close(self) -> None:
        """Kill whatever is still watched."""
        self._process.communicate(timeout=_STOP_SECONDS)

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for as a pipe
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()


def main() -> None:
    """Keep the list until standard input ends, then kill what is on it."""
    watched: dict[int, psutil.Process] = {}
    for line in sys.stdin:
        pid = int(line[1:])
        watched.pop(pid, None)
        if line.startswith("+"):
            with contextlib.suppress(psutil.NoSuchProcess):
                watched[pid] = psutil.Process(pid)
    for process in watched.values():
        with contextlib.suppress(psutil.Error):
            process.kill()  # psutil looks at when it began


if __name__ == "__main__":
    main()
