"""A collector of traces over real HTTP: OTLP, as OpenTelemetry's exporters send it."""

import contextlib
import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """What processes have sent.

    Attributes:
        url: for ``OTEL_EXPORTER_OTLP_ENDPOINT``.
        raw: the bodies, as they came but unpacked.
    """

    def __init__(self, url: str) -> None:
        """Begin with nothing."""
        self.url = url
        self.raw: list[bytes] = []
        self._lock = threading.Lock()

    def take(self, body: bytes) -> None:
        """Hear of some spans."""
        with self._lock:
            self.raw.append(body)

    def spans(self) -> list[tuple[str, Span]]:
        """Give all spans, each with the name of the service that sent it."""
        with self._lock:
            requests = [ExportTraceServiceRequest.FromString(body) for body in self.raw]
        found = []
        for request in requests:
            for resource in request.resource_spans:
                names = {pair.key: pair.value for pair in resource.resource.attributes}
                service = names["service.name"].string_value
                found += [(service, span) for scope in resource.scope_spans for span in scope.spans]
        return found


@contextlib.contextmanager
def trace_collector() -> Iterator[Collector]:
    """Collect on a free port of loopback, for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            packed = self.headers.get("Content-Encoding") == "gzip"
            collector.take(gzip.decompress(body) if packed else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
