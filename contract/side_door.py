"""The HTTP side door of a process: ``/metrics``, ``/healthz``, ``/readyz``, and what it adds."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from contract.errors import UsageError

MAX_BODY_BYTES: Final = 64 * 1024
PATIENCE_SECONDS: Final = 10.0
"""For a client that sends or takes nothing: it must not keep a thread for ever."""

JSON: Final = "application/json"
PLAIN: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    method: str
    path: str
    """Without the query."""
    query: str
    headers: Mapping[str, str]
    """Names in lower case; of those that repeat, the last."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


Handle = Callable[[Request], Reply]
State = Callable[[], Mapping[str, Any]]


class SideDoor:
    """Serves until closed; a port that is taken is an error, never a silent absence."""

    def __init__(
        self,
        host: str,
        port: int,
        routes: Mapping[tuple[str, str], Handle],
        *,
        setting: str = "HEADRACE_METRICS_PORT",
    ) -> None:
        """Bind and serve in threads.

        Args:
            host: address to bind.
            port: port to bind; 0 for any free one.
            routes: (method, path) -> what answers; called in a thread of its own, and a
                failure there becomes a 500 without its text.
            setting: names the port, for the error.

        Raises:
            UsageError: the address can't be bound.
        """
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(routes))
        except OSError as error:
            raise UsageError(
                f"can't serve metrics on {host}:{port}: {error.strerror}; set another "
                f"{setting}, or 0 for none"
            ) from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="headrace-side-door", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


def _handler(routes: Mapping[tuple[str, str], Handle]) -> type[BaseHTTPRequestHandler]:
    """Make what answers the requests of one connection."""

    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE_SECONDS

        def do_GET(self) -> None:
            self._answer("GET", b"")

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
                self.close_connection = True
                self._send(Reply(413, PLAIN, b"the body is too large, or of unknown length\n"))
            else:
                self._answer("POST", self.rfile.read(int(length)))

        def _answer(self, method: str, body: bytes) -> None:
            where = urlsplit(self.path)
            handle = routes.get((method, where.path))
            if handle is None:
                there = ", ".join(sorted({path for _, path in routes}))
                self._send(Reply(404, PLAIN, f"here are {there}\n".encode()))
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                reply = handle(Request(method, where.path, where.query, headers, body))
            except Exception:
                self._send(Reply(500, PLAIN, b"failed\n"))
                raise
            self._send(reply)

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            """Probes are not worth a line each."""

    return Handler


def standard_routes(
    registry: CollectorRegistry, health: State, readiness: State
) -> dict[tuple[str, str], Handle]:
    """Give what every process serves.

    Args:
        registry: what ``/metrics`` shows.
        health: what ``/healthz`` shows: whether the process lives; ``ok`` decides between 200
            and 503, on which a supervisor restarts it.
        readiness: what ``/readyz`` shows: whether it has what it needs to work, likewise.
    """

    def metrics(request: Request) -> Reply:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Reply(200, content_type, encode(registry))

    def shown(state: State) -> Handle:
        def show(_: Request) -> Reply:
            now = state()
            return Reply(200 if now["ok"] else 503, JSON, json.dumps(now).encode())

        return show

    return {
        ("GET", "/metrics"): metrics,
        ("GET", "/healthz"): shown(health),
        ("GET", "/readyz"): shown(readiness),
    }
