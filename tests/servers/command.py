"""The ``headrace`` command as a process in a folder and with an environment of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

_ROOT = Path(__file__).resolve().parents[2]
_PROGRAM = (sys.executable, "-c", "from headrace.cli.main import main; main()")
_STOP_SECONDS = 60.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> Any:
        """The one JSON value that standard output must be."""
        return json.loads(self.out)

    def expect(self, code: int) -> "Ended":
        """Fail, and show everything, unless the exit code is this one."""
        assert self.code == code, f"exit code {self.code}, not {code}\n{self.out}\n{self.err}"
        return self


class Running:
    """A command in the background."""

    def __init__(self, process: subprocess.Popen[bytes], out: IO[bytes], err: IO[bytes]) -> None:
        """Hold the process and what it writes to; ``Command.started`` makes these."""
        self._process = process
        self._out = out
        self._err = err
        self._begun = time.monotonic()
        self._ended: Ended | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Tell whether it has not ended yet."""
        return self._process.poll() is None

    @property
    def said(self) -> str:
        """What it has written to standard error so far."""
        # Not by reading: the place in the file is the command's own.
        size = os.fstat(self._err.fileno()).st_size
        return os.pread(self._err.fileno(), size, 0).decode()

    @property
    def given(self) -> str:
        """What it has written to standard output so far."""
        return os.pread(self._out.fileno(), os.fstat(self._out.fileno()).st_size, 0).decode()

    def workers(self) -> list[psutil.Process]:
        """Find the worker processes that it has started."""
        found = []
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.pid).children():
                with contextlib.suppress(psutil.Error):
                    if "worker.app" in child.cmdline():
                        found.append(child)
        return found

    def send(self, number: signal.Signals) -> None:
        """Send it (and it alone) a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it with no chance to clean up."""
        self._process.kill()

    def wait(self, seconds: float = _STOP_SECONDS) -> Ended:
        """Wait until it has ended."""
        if self._ended is None:
            code = self._process.wait(seconds)
            took_seconds = time.monotonic() - self._begun
            self._ended = Ended(code, _text(self._out), _text(self._err), took_seconds)
        return self._ended

    def end(self) -> None:
        """End it, in good order if it can; nothing happens when it has ended."""
        if self._ended is not None:
            return
        self._process.terminate()
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.wait()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


class Command:
    """Runs ``headrace`` in one folder."""

    def __init__(self, folder: Path, **settings: object) -> None:
        """Remember where, and the settings (``embedding_provider="openai"``)."""
        self.folder = folder
        self.settings = settings

    def with_settings(self, **settings: object) -> "Command":
        """Give one for the same folder with more settings."""
        return Command(self.folder, **{**self.settings, **settings})

    def run(
        self, *arguments: str | Path, seconds: float = 100.0, stdin: int | IO[bytes] | None = None
    ) -> Ended:
        """Run it to its end."""
        with self.started(*arguments, stdin=stdin) as running:
            return running.wait(seconds)

    @contextlib.contextmanager
    def started(
        self, *arguments: str | Path, stdin: int | IO[bytes] | None = None
    ) -> Iterator[Running]:
        """Run it in the background, as a shell does: SIGINT is ignored; end it at the end.

        Args:
            arguments: of the command.
            stdin: what it reads, which the caller closes; nothing when None.
        """
        # Files, not pipes: nobody reads while it runs, and a full pipe would stop it.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                process = subprocess.Popen(
                    [*_PROGRAM, *arguments],
                    cwd=self.folder,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL if stdin is None else stdin,
                    stdout=out,
                    stderr=err,
                )
            finally:
                signal.signal(signal.SIGINT, before)
            running = Running(process, out, err)
            try:
                yield running
            finally:
                running.end()

    def _environment(self) -> Mapping[str, str]:
        names = ("PATH", "TMPDIR", "OTEL_EXPORTER_OTLP_ENDPOINT")
        kept = {name: os.environ[name] for name in names if name in os.environ}
        own = {f"HEADRACE_{name.upper()}": str(value) for name, value in self.settings.items()}
        return {
            **kept,
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(_ROOT),
            **own,
        }


def until(holds: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Wait until a condition holds, or fail and say what was waited for."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        time.sleep(_POLL_SECONDS)
