"""A worker as a process of its own, as ``headrace worker`` starts one."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers.redis import free_port

_ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 60.0
_POLL_SECONDS = 0.02


def command(app: str) -> tuple[str, ...]:
    """Spell how a worker is started."""
    return (
        *(sys.executable, "-m", "celery", "-A", app, "worker"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    )


COMMAND = command("worker.app")


def until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(_POLL_SECONDS)


def environment(folder: Path, **settings: object) -> dict[str, str]:
    """Give the variables of a worker: no settings but these."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("HEADRACE_")}
    given = {f"HEADRACE_{name.upper()}": str(value) for name, value in settings.items()}
    return {**variables, **given, "PYTHONPATH": str(_ROOT), "HOME": str(folder)}


@dataclass
class WorkerProgram:
    """A running worker.

    Attributes:
        port: where it serves its metrics.
        log: what it writes.
    """

    process: subprocess.Popen[bytes]
    port: int
    log: Path = field(repr=False)

    def said(self, words: str) -> bool:
        """Tell whether its log has these words."""
        return words in self.log.read_text(encoding="utf-8", errors="replace")

    def terminate(self) -> None:
        """Ask it to end."""
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self, seconds: float = 30.0) -> int:
        """Wait for its end."""
        return self.process.wait(seconds)

    def get(self, path: str) -> str:
        """Fetch a page from its side door."""
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            body: bytes = answer.read()
        return body.decode()

    def health(self) -> dict[str, Any]:
        """Fetch its health; empty when it does not answer."""
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            health: dict[str, Any] = json.loads(self.get("/healthz"))
            return health
        return {}

    def metric(self, sample: str) -> float:
        """Read one sample, named with its labels as Prometheus writes them."""
        for line in self.get("/metrics").splitlines():
            name, _, value = line.rpartition(" ")
            if name == sample:
                return float(value)
        raise AssertionError(f"no sample {sample}")


@contextlib.contextmanager
def worker_program(
    folder: Path, variables: Mapping[str, str], *, app: str = "worker.app"
) -> Iterator[WorkerProgram]:
    """Start a worker, wait until it takes messages, and end it (and only it) at the end."""
    port = free_port()
    log = folder / f"worker-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(app),
            cwd=folder,
            env={**variables, "HEADRACE_METRICS_PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    worker = WorkerProgram(process, port, log)
    try:
        until(lambda: worker.said(" ready.") or process.poll() is not None, "start", _START_SECONDS)
        assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")
        yield worker
    finally:
        process.kill()
        process.wait()
