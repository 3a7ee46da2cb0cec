"""Processes that hang: stopped by a signal, and seen to have stopped."""

import os
import signal
import sys
import time

import psutil

_SECONDS = 20.0
_POLL_SECONDS = 0.002


def freeze(pid: int) -> None:
    """Stop a process, and wait until it has: SIGSTOP takes effect once the process next runs.

    On a busy machine a call made right after the signal may still be answered.
    """
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + _SECONDS
    while not _has_stopped(pid):
        assert time.monotonic() < deadline, f"{pid} still runs {_SECONDS} s after SIGSTOP"
        time.sleep(_POLL_SECONDS)


def thaw(pid: int) -> None:
    """Let a stopped process go on."""
    os.kill(pid, signal.SIGCONT)


def _has_stopped(pid: int) -> bool:
    # Linux stops thread by thread, and shows each as a process.
    process = psutil.Process(pid)
    threads = [thread.id for thread in process.threads()] if sys.platform == "linux" else [pid]
    return all(psutil.Process(thread).status() == psutil.STATUS_STOPPED for thread in threads)
