"""The status page: is it fine, for those who have no dashboards; with replay behind a token."""

import threading
import time
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any, Final

import orjson

from contract.errors import HeadraceError
from contract.ledger.connection import translated
from contract.settings import Settings
from contract.side_door import JSON, Handle, Reply, Request
from headrace.exporter.exporter import Exporter
from headrace.exporter.page_reader import PageReader
from headrace.exporter.replay_desk import ReplayDesk

REUSED_SECONDS: Final = 1.0
"""However many look at the page, what was read is read once in so long."""
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "object-src 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_FILES: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


class Glance:
    """The newest figures, for any number of threads; read when someone asks."""

    def __init__(
        self, read: Callable[[], Mapping[str, Any]], now: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with nothing; ``read`` may take seconds, and may fail; ``now`` is in seconds."""
        self._read = read
        self._now = now
        self._turn = threading.Lock()
        self._known: Mapping[str, Any] = {}
        self._outage = ""
        self._asked_at = float("-inf")

    def get(self) -> dict[str, Any]:
        """Give what is known, and why it is not of now if it is not.

        One thread reads; the others have what was read before.
        """
        if self._turn.acquire(blocking=False):
            try:
                if self._now() - self._asked_at >= REUSED_SECONDS:
                    self._refresh()
                    self._asked_at = self._now()
            finally:
                self._turn.release()
        return {"read": bool(self._known), "outage": self._outage, **self._known}

    def _refresh(self) -> None:
        try:
            self._known, self._outage = self._read(), ""
        except (HeadraceError, TimeoutError) as error:
            self._outage = str(error) or "Redis does not answer"


def page(exporter: Exporter) -> Mapping[tuple[str, str], Handle]:
    """Give what serves the page of an exporter; it is read in that one's loop, on its client."""
    reader = PageReader(exporter.redis, exporter.settings)

    async def read() -> Mapping[str, Any]:
        with translated(exporter.settings):
            return await reader.read()

    return page_routes(exporter.settings, lambda: exporter.call(read()))


def page_routes(
    settings: Settings, read: Callable[[], Mapping[str, Any]]
) -> dict[tuple[str, str], Handle]:
    """Give what serves the page.

    Args:
        settings: with the addresses of the servers; the token, if documents may be replayed.
        read: reads what the page shows (``PageReader``), for a thread.
    """
    glance = Glance(read)
    desk = ReplayDesk(settings)

    def status(_: Request) -> Reply:
        known = glance.get()
        known["served_ms"] = round(time.time() * 1000)
        known["can_replay"] = desk.is_open
        return _reply(200, JSON, orjson.dumps(known, option=orjson.OPT_NON_STR_KEYS))

    def replay(request: Request) -> Reply:
        code, said = desk.answer(request)
        return _reply(code, JSON, orjson.dumps(said))

    return {
        **{("GET", path): _file(*what) for path, what in _FILES.items()},
        ("GET", "/status.json"): status,
        ("POST", "/replay"): replay,
    }


def _file(name: str, content_type: str) -> Handle:
    body = files("headrace.exporter").joinpath("static", name).read_bytes()
    return lambda _: _reply(200, content_type, body)


def _reply(code: int, content_type: str, body: bytes) -> Reply:
    return Reply(code, content_type, body, SECURITY_HEADERS)
