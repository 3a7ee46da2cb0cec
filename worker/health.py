"""The HTTP side door of a worker: ``/metrics`` for Prometheus, ``/healthz`` for probes."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from contract.errors import UsageError


class HealthServer:
    """Serves until closed; a port that is taken is an error, never a silent absence."""

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        health: Callable[[], dict[str, Any]],
    ) -> None:
        """Bind and serve in threads.

        Args:
            host: address to bind.
            port: port to bind; 0 for any free one.
            registry: what ``/metrics`` shows.
            health: what ``/healthz`` shows; its ``ok`` decides between 200 and 503.

        Raises:
            UsageError: the address can't be bound.
        """

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.split("?")[0] == "/metrics":
                    encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                    self._answer(200, content_type, encode(registry))
                elif self.path == "/healthz":
                    state = health()
                    code = 200 if state["ok"] else 503
                    self._answer(code, "application/json", json.dumps(state).encode())
                else:
                    self._answer(404, "text/plain", b"only /metrics and /healthz are here\n")

            def _answer(self, code: int, content_type: str, body: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Probes are not worth a line each."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise UsageError(
                f"can't serve metrics on {host}:{port}: {error.strerror}; set another "
                "HEADRACE_METRICS_PORT, or 0 for none"
            ) from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="headrace-health", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)
