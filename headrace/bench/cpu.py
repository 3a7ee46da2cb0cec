"""CPU time of processes, as the system counts it: user and system time."""

import contextlib
import resource
from collections.abc import Iterable, Mapping

import psutil


def cpu_seconds_of(pid: int) -> float | None:
    """Give what a process has used so far, in steps of 10 ms; None if it is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)


class Family:
    """The child processes of a process, looked up now and then: a look reads all of the system's.

    Args:
        pid: the parent.
        marker: an argument that tells some of the children from the others.
        interval_seconds: between two looks.
    """

    def __init__(self, pid: int, marker: str, interval_seconds: float = 0.5) -> None:
        self._pid = pid
        self._marker = marker
        self._interval_seconds = interval_seconds
        self._looked: float | None = None
        self.marked: tuple[int, ...] = ()
        self.others: tuple[int, ...] = ()

    def look(self, now_seconds: float) -> None:
        """Look again, if the last look is old."""
        if self._looked is not None and now_seconds - self._looked < self._interval_seconds:
            return
        self._looked = now_seconds
        marked: list[int] = []
        others: list[int] = []
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self._pid).children():
                with contextlib.suppress(psutil.Error):
                    kind = marked if self._marker in process.cmdline() else others
                    kind.append(process.pid)
            self.marked, self.others = tuple(marked), tuple(others)


def ended_children_cpu_seconds() -> float:
    """Give what all ended and awaited children of this process used, with their own children."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Meter:
    """CPU time of processes since each of them was first asked about.

    A process that has ended keeps its last reading.
    """

    def __init__(self) -> None:
        """Know no process yet."""
        self._first: dict[int, float] = {}
        self._last: dict[int, float] = {}

    def read(self, pids: Iterable[int]) -> None:
        """Take a reading of processes; the first of each is its zero."""
        for pid in pids:
            seconds = cpu_seconds_of(pid)
            if seconds is not None:
                self._first.setdefault(pid, seconds)
                self._last[pid] = seconds

    def seconds(self, pids: Iterable[int] | None = None) -> float:
        """Give the time used between first and last reading, of some processes or of all."""
        chosen = self._first if pids is None else self._first.keys() & set(pids)
        return sum(self._last[pid] - self._first[pid] for pid in chosen)


def read_named(pids: Mapping[str, int]) -> dict[str, float]:
    """Give what named processes have used so far; those that are gone are left out."""
    found = {name: cpu_seconds_of(pid) for name, pid in pids.items()}
    return {name: seconds for name, seconds in found.items() if seconds is not None}
