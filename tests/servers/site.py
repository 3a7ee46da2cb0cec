"""A small web site on loopback that counts what is asked of it, and misbehaves on demand."""

import contextlib
import gzip
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DATE = "Tue, 03 Nov 2026 10:00:00 GMT"


@dataclass
class Page:
    """What a path answers."""

    body: bytes = b""
    kind: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    has_etag: bool = True
    statuses: list[int] = field(default_factory=list)
    """Of the next answers, one each; then 200."""
    status: int = 200
    is_packed: bool = False
    cut_at: int | None = None
    """So many bytes are sent, though all are promised."""
    drip_seconds: float = 0.0
    """Before each byte."""

    @property
    def etag(self) -> str:
        """Name the content."""
        return f'"{hashlib.sha256(self.body).hexdigest()[:16]}"'


class Site:
    """A running site.

    Attributes:
        pages: path (with query) -> what it answers; anything else is not there.
        asked: how often what was asked for, as ``GET /path``.
        body_bytes: how much was sent.
        most_at_once: of requests.
    """

    def __init__(self, port: int) -> None:
        """Begin without pages."""
        self.url = f"http://127.0.0.1:{port}"
        self.pages: dict[str, Page] = {}
        self.asked: Counter[str] = Counter()
        self.agents: set[str] = set()
        self.body_bytes = 0
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def put(self, path: str, body: str, **fields: Any) -> None:
        """Have a page, with this text."""
        self.pages[path] = Page(body.encode(), **fields)

    def write_sitemap(self, *paths: str, at: str = "/sitemap.xml") -> None:
        """List pages."""
        lines = "".join(f"<url><loc>{self.url}{path}</loc></url>" for path in paths)
        head = '<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
        self.put(at, f"{head}{lines}</urlset>", kind="application/xml")

    def forget(self) -> None:
        """Count anew."""
        self.asked.clear()
        self.body_bytes = 0

    def asked_of_pages(self, method: str) -> int:
        """Count requests that were about neither robots.txt nor sitemaps."""
        return sum(
            count
            for what, count in self.asked.items()
            if what.startswith(f"{method} ") and "robots.txt" not in what and "sitemap" not in what
        )

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        with self._lock:
            self.asked[f"{request.command} {request.path}"] += 1
            self.agents.add(request.headers.get("user-agent", ""))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._answer(request)
        finally:
            with self._lock:
                self._at_once -= 1

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        page = self.pages.get(request.path, Page(b"not here", status=404, has_etag=False))
        status = page.statuses.pop(0) if page.statuses else page.status
        body = gzip.compress(page.body) if page.is_packed else page.body
        request.send_response_only(status)
        headers = {"Date": DATE, "Content-Type": page.kind, "Content-Length": str(len(body))}
        if page.has_etag:
            headers["ETag"] = page.etag
        if page.is_packed:
            headers["Content-Encoding"] = "gzip"
        for name, value in {**headers, **page.headers}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "HEAD":
            return
        sent = body if page.cut_at is None else body[: page.cut_at]
        for start in range(0, len(sent), 1 if page.drip_seconds else len(sent)):
            time.sleep(page.drip_seconds)
            piece = sent[start : start + 1] if page.drip_seconds else sent
            request.wfile.write(piece)
            self.body_bytes += len(piece)
        request.close_connection = page.cut_at is not None


@contextlib.contextmanager
def running_site() -> Iterator[Site]:
    """Run a site in threads of this process, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def do_GET(self) -> None:
            site.answer(self)

        def do_HEAD(self) -> None:
            site.answer(self)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128  # else a client that opens several connections waits for seconds

        def handle_error(self, *_: object) -> None:
            """Keep quiet: who asks may hang up."""

    server = Server(("127.0.0.1", 0), Handler)
    site = Site(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
