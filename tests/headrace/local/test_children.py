"""Promises of the supervisor of worker processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from contract.errors import UsageError
from headrace.local.children import Children, backoff_seconds

_WAITS = "import signal; print('up', flush=True); signal.pause()"
_DEAF = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True); signal.pause()"
_ENDS = "import sys; print('no such setting'); sys.exit({})"


class _Clock:
    """A clock that a test can put forward."""

    def __init__(self) -> None:
        self.ahead_seconds = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_seconds


class _Run:
    """Runs children of a small program and records what is told about them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = _Clock()
        self.exits: list[tuple[int, int]] = []
        self.running: list[Children] = []

    def __call__(self, program: str, count: int = 1) -> Children:
        children = Children(
            lambda number: (sys.executable, "-c", program, str(number)),
            {"PATH": os.environ["PATH"]},
            count,
            self.folder,
            lambda pid, returncode: self.exits.append((pid, returncode)),
            self.clock,
        )
        self.running.append(children)
        return children.__enter__()

    def log(self, number: int = 0) -> str:
        """What one child has printed."""
        return (self.folder / f"worker-{number}.log").read_text()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[_Run]:
    """Runs children, and stops them at the end."""
    runner = _Run(tmp_path)
    yield runner
    for children in runner.running:
        children.stop(grace_seconds=0.0)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < deadline, "waited 20 s in vain"
        threading.Event().wait(0.01)


def test_as_many_run_as_asked_each_in_its_own_session(run: _Run) -> None:
    """Ctrl-C in the parent's terminal reaches none of them."""
    children = run(_WAITS, count=3)
    assert len(set(children.pids)) == 3
    assert len({os.getsid(pid) for pid in children.pids} | {os.getsid(0)}) == 4


def test_they_know_their_number_and_their_parent(run: _Run) -> None:
    """Each gets its own command, and the pid whose end it must follow."""
    run("import os, sys; print(sys.argv[1], os.environ['HEADRACE_PARENT_PID'])", count=2)
    _until(lambda: len(run.exits) >= 2)
    assert run.log(0).startswith(f"0 {os.getpid()}\n")
    assert run.log(1).startswith(f"1 {os.getpid()}\n")


def test_one_that_is_killed_is_started_again(run: _Run) -> None:
    """The command hears of it, the others are not disturbed, and the number is restored."""
    children = run(_WAITS, count=2)
    victim, other = children.pids
    os.kill(victim, signal.SIGKILL)
    _until(lambda: len(children.pids) == 2 and victim not in children.pids)
    assert run.exits == [(victim, -signal.SIGKILL)]
    assert other in children.pids
    assert children.failure is None


def test_the_wait_grows_with_each_failure_up_to_ten_seconds() -> None:
    """A child that can't live costs little."""
    waits = [backoff_seconds(failures) for failures in (1, 2, 3, 6, 7, 8, 10_000)]
    assert waits == pytest.approx([0.2, 0.4, 0.8, 6.4, 10.0, 10.0, 10.0])


def test_failures_in_a_row_are_waited_for(run: _Run) -> None:
    """Five starts in a row need at least the four waits between them."""
    began = time.monotonic()
    run(_ENDS.format(1))
    _until(lambda: len(run.exits) >= 4)
    assert time.monotonic() - began >= 0.2 + 0.4 + 0.8


def test_a_long_life_forgets_earlier_failures(run: _Run) -> None:
    """After 30 s of life the next failure is waited for as the first one was."""
    children = run(_WAITS)
    for _ in range(3):
        before = children.pids
        os.kill(before[0], signal.SIGKILL)
        _until(lambda before=before: children.pids not in (before, ()))  # type: ignore[misc]
    place = children._places[0]
    assert place.failures == 3
    run.clock.ahead_seconds += 31.0
    _until(lambda: place.failures == 0)


def test_a_deaf_worker_is_replaced_at_once(run: _Run) -> None:
    """Exit code 75 asks for another start; it is no failure, and there is no wait."""
    began = time.monotonic()
    children = run(_ENDS.format(75))
    _until(lambda: len(run.exits) >= 6)
    assert time.monotonic() - began < 0.2 + 0.4 + 0.8 + 1.6 + 3.2
    assert children._places[0].failures == 0
    assert children.failure is None


@pytest.mark.parametrize("returncode", [2, 3])
def test_one_that_can_never_start_is_not_started_again(run: _Run, returncode: int) -> None:
    """Wrong settings or no server: the code and the last words are there to be shown."""
    children = run(_ENDS.format(returncode))
    _until(lambda: children.failure is not None)
    run.clock.ahead_seconds += 60.0
    assert children.failure is not None
    assert children.failure.returncode == returncode
    assert children.failure.log_lines == ("no such setting",)
    threading.Event().wait(0.3)  # three rounds of the watcher
    assert len(run.exits) == 1
    assert children.pids == ()


def test_after_a_long_life_no_exit_code_is_final(run: _Run) -> None:
    """A worker that ran and lost its server is worth another try."""
    program = (
        "import signal, sys; signal.signal(10, lambda *_: sys.exit(3)); print('up', flush=True)"
    )
    children = run(program + "\nwhile True: signal.pause()")
    _until(lambda: "up" in run.log())
    first = children.pids
    run.clock.ahead_seconds += 31.0
    _until(lambda: children._places[0].settled)
    os.kill(first[0], signal.SIGUSR1)
    _until(lambda: children.pids not in (first, ()))
    assert run.exits == [(first[0], 3)]
    assert children.failure is None


def test_stopping_is_quick_and_no_exit_is_reported(run: _Run) -> None:
    """Children that heed SIGTERM end within the grace and are not called failures."""
    children = run(_WAITS, count=2)
    pids = children.pids
    began = time.monotonic()
    children.stop(grace_seconds=10.0)
    assert time.monotonic() - began < 5.0
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert children.pids == ()
    assert run.exits == []


def test_a_deaf_child_is_killed_after_the_grace(run: _Run) -> None:
    """Stopping ends, whatever a child does."""
    children = run(_DEAF)
    _until(lambda: "up" in run.log())
    pids = children.pids
    children.stop(grace_seconds=0.2)
    assert not psutil.pid_exists(pids[0])


def test_a_command_that_does_not_exist_is_wrong_use(tmp_path: Path) -> None:
    """The error names the program, and children started before are stopped."""
    commands = {0: (sys.executable, "-c", _WAITS), 1: ("/nowhere/worker",)}
    children = Children(commands.__getitem__, {}, 2, tmp_path, lambda _pid, _code: None)
    with pytest.raises(UsageError, match="/nowhere/worker"), children:
        pytest.fail("entered without a worker")
    assert children.pids == ()


_PARENT = """
import sys, time
from pathlib import Path
from headrace.local.children import Children
child = (
    "import os, time\\n"
    "parent = int(os.environ['HEADRACE_PARENT_PID'])\\n"
    "while os.getppid() == parent: time.sleep(0.05)\\n"
)
with Children(
    lambda n: (sys.executable, "-c", child), {}, 1, Path(sys.argv[1]), lambda p, c: None
) as children:
    print(children.pids[0], flush=True)
    sys.stdin.read()
"""


def test_children_can_follow_a_killed_parent(tmp_path: Path) -> None:
    """A child that compares its parent with the environment ends soon after ``kill -9``."""
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.kill()
    _until(lambda: not psutil.pid_exists(pid))
