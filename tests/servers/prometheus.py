"""Prometheus and Alertmanager as processes of their own, and somebody who is paged."""

import contextlib
import json
import os
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.servers.redis import reserved_port

_HOST = "127.0.0.1"
_START_SECONDS = 30.0
_POLL_SECONDS = 0.05


def program(name: str) -> str:
    """Find a program of Debian's packages, or skip; in CI a skip fails the run."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not here: apt-get install prometheus prometheus-alertmanager")
    return found


@dataclass(frozen=True, slots=True)
class Answer:
    """What Prometheus answered to a query."""

    series: list[dict[str, Any]]
    """Each with ``metric`` (labels) and ``values``: pairs of time and text."""
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running server."""

    url: str

    def over(self, expr: str, begin: float, end: float, step: float = 1.0) -> Answer:
        """Ask for values over time (seconds since 1970)."""
        asked = {"query": expr, "start": begin, "end": end, "step": step}
        data, warnings = self._get("/api/v1/query_range", asked)
        return Answer(data["result"], warnings)

    def now(self, expr: str) -> Answer:
        """Ask for values of this moment."""
        data, warnings = self._get("/api/v1/query", {"query": expr})
        return Answer([{**one, "values": [one["value"]]} for one in data["result"]], warnings)

    def values_of(self, label: str, metric: str) -> list[str]:
        """Give the values of a label."""
        found, _ = self._get(f"/api/v1/label/{label}/values", {"match[]": metric})
        assert isinstance(found, list)
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Give all rules with their health."""
        data, _ = self._get("/api/v1/rules", {})
        return [rule for group in data["groups"] for rule in group["rules"]]

    def targets(self) -> list[dict[str, Any]]:
        """Give all targets with their health."""
        data, _ = self._get("/api/v1/targets", {})
        targets: list[dict[str, Any]] = data["activeTargets"]
        return targets

    def _get(self, path: str, fields: dict[str, Any]) -> tuple[Any, list[str]]:
        url = f"{self.url}{path}?{urllib.parse.urlencode(fields)}"
        try:
            with urllib.request.urlopen(url, timeout=20) as reply:  # noqa: S310 - ours
                body = json.loads(reply.read())
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{fields.get('query')}: {error.read().decode()}") from error
        return body["data"], body.get("warnings", []) + body.get("infos", [])


@contextlib.contextmanager
def prometheus_server(folder: Path, config: Path) -> Iterator[Prometheus]:
    """Run Prometheus with a configuration until the end of the block."""
    with reserved_port() as port:
        command = (
            *(program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder}"),
            *(f"--web.listen-address={_HOST}:{port}", "--log.level=warn"),
            # What it sends before it has found Alertmanager is lost, and sent again after a minute.
            "--rules.alert.resend-delay=2s",
        )
        with _running(command, folder, f"http://{_HOST}:{port}/-/ready"):
            yield Prometheus(f"http://{_HOST}:{port}")


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """A running Alertmanager."""

    address: str
    """Host and port."""

    def suppressed(self) -> set[str]:
        """Name the alerts that it has and tells nobody, because another explains them."""
        url = f"http://{self.address}/api/v2/alerts"
        with urllib.request.urlopen(url, timeout=20) as reply:
            found = json.loads(reply.read())
        return {one["labels"]["alertname"] for one in found if one["status"]["inhibitedBy"]}


@contextlib.contextmanager
def alertmanager_server(folder: Path, config: Path) -> Iterator[Alertmanager]:
    """Run Alertmanager with a configuration until the end of the block."""
    with reserved_port() as port:
        command = (
            *(program("prometheus-alertmanager"), f"--config.file={config}"),
            *(f"--storage.path={folder}", f"--web.listen-address={_HOST}:{port}"),
            *("--cluster.listen-address=", "--log.level=warn"),
        )
        with _running(command, folder, f"http://{_HOST}:{port}/-/ready"):
            yield Alertmanager(f"{_HOST}:{port}")


@dataclass(frozen=True, slots=True)
class Call:
    """One alert of one notification."""

    at: float
    """Seconds since 1970."""
    receiver: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]


@dataclass
class Pager:
    """Takes notifications; filled by threads."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)

    def told(self, status: str, alert: str, since: float = 0.0) -> list[Call]:
        """Give the calls about an alert since a time in seconds since 1970."""
        return [
            call
            for call in self.calls
            if (call.status, call.labels["alertname"]) == (status, alert) and call.at >= since
        ]


@contextlib.contextmanager
def pager() -> Iterator[Pager]:
    """Take what Alertmanager sends to webhooks until the end of the block."""
    taken = Pager()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            for alert in body["alerts"]:
                notes = alert["annotations"]
                call = Call(time.time(), body["receiver"], alert["status"], alert["labels"], notes)
                taken.calls.append(call)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((_HOST, 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    taken.url = f"http://{_HOST}:{server.server_address[1]}"
    try:
        yield taken
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def _running(command: Sequence[str], folder: Path, ready: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.txt"
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=kept
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(ready):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310 - ours
            return bool(reply.status == 200)
    except OSError:
        return False
