"""The benchmark's embedding endpoint as a process of its own, for as long as a test needs it."""

import contextlib
import http.client
import json
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 20.0
_CALL_SECONDS = 20.0
_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class FakeEndpoint:
    """A running endpoint.

    Attributes:
        url: base URL for an OpenAI client, ends in ``/v1``.
        pid: process id.
    """

    url: str
    pid: int

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def stats(self) -> dict[str, Any]:
        """Counts since the start or the last reset."""
        return self._call("GET", "/stats")

    def faults(self, **values: object) -> dict[str, Any]:
        """Set faults (the fields of ``headrace.bench.faults.Faults``); give all of them."""
        return self._call("POST", "/faults", values)

    def reset(self) -> None:
        """Set counts and faults back to the start."""
        self._call("POST", "/reset", {})

    def _call(self, method: str, path: str, fields: object = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_CALL_SECONDS)
        with contextlib.closing(connection):
            body = None if fields is None else json.dumps(fields)
            connection.request(method, path, body)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
            assert response.status == 200, answer
            return answer


@contextlib.contextmanager
def fake_endpoint(dimensions: int = 384, latency_seconds: float = 0.0) -> Iterator[FakeEndpoint]:
    """Start an endpoint, wait until it listens, and end it (and only it) at the end."""
    command = (
        *(sys.executable, "-m", "headrace.bench.endpoint", "--die-with-parent", "--port", "0"),
        *("--dimensions", str(dimensions), "--latency-seconds", str(latency_seconds)),
    )
    with subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
            line = process.stdout.readline() if ready else b""
            assert line, f"the endpoint did not start within {_START_SECONDS} s"
            yield FakeEndpoint(json.loads(line)["url"], process.pid)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
