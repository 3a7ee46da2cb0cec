"""Promises of the status page's routes, over HTTP."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from contract.errors import UnreachableError
from contract.settings import load_settings
from contract.side_door import MAX_BODY_BYTES, SideDoor
from headrace.exporter.page import Glance, page_routes


@contextmanager
def _served(
    read: Callable[[], Mapping[str, Any]] = dict, token: str | None = None
) -> Iterator[str]:
    settings = load_settings({}, status_token=token)
    door = SideDoor("127.0.0.1", 0, page_routes(settings, read))
    try:
        yield f"http://127.0.0.1:{door.port}"
    finally:
        door.close()


def _fetch(url: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, bytes]:
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - of this test
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - likewise
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript"),
     ("/icon.svg", "image/svg+xml"), ("/status.json", "application/json")],
)  # fmt: skip
def test_every_part_is_served_and_trusts_nobody(path: str, kind: str) -> None:
    """With its type, and with headers that let nothing in from elsewhere."""
    with _served() as url:
        code, headers, body = _fetch(url + path)
    assert code == 200
    assert body
    assert headers["Content-Type"].partition(";")[0] == kind
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_the_page_names_no_other_place() -> None:
    """It works where there is no network; nothing is written into it as markup."""
    with _served() as url:
        page, script, style = (
            _fetch(url + path)[2].decode() for path in ("/", "/page.js", "/page.css")
        )
    for text in (page, script, style):
        assert "://" not in text.replace("http://www.w3.org/2000/svg", "")
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert way not in script
    assert "style=" not in page
    assert "onclick" not in page


def test_what_was_read_is_given_with_the_time() -> None:
    """And whether documents may be replayed."""
    with _served(lambda: {"verdict": "fine"}, token="x") as url:  # noqa: S106 - of this test
        told = json.loads(_fetch(f"{url}/status.json")[2])
    served_ms = told.pop("served_ms")
    assert served_ms > 1_700_000_000_000
    assert told == {"read": True, "outage": "", "verdict": "fine", "can_replay": True}


def test_an_outage_is_told_with_what_is_known() -> None:
    """What was read before stays, and is replaced when the server is back."""
    answers: list[Mapping[str, Any] | Exception] = [
        UnreachableError("away"), {"n": 1}, TimeoutError(), {"n": 2},
    ]  # fmt: skip

    def read() -> Mapping[str, Any]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    now = 0.0
    glance = Glance(read, lambda: now)
    told = []
    for _ in range(4):
        told.append(glance.get())
        assert glance.get() == told[-1], "within a second nothing is read again"
        now += 1.0
    assert told == [
        {"read": False, "outage": "away"},
        {"read": True, "outage": "", "n": 1},
        {"read": True, "outage": "Redis does not answer", "n": 1},
        {"read": True, "outage": "", "n": 2},
    ]


def test_replays_need_a_token_and_a_small_body() -> None:
    """Refused before anything is looked at."""
    with _served() as url:
        code, _, body = _fetch(f"{url}/replay", b"{}", Authorization="Bearer x")
        assert code == 403
        assert b"no token is set" in body
        assert _fetch(f"{url}/replay", b"x" * (MAX_BODY_BYTES + 1))[0] == 413
        assert _fetch(f"{url}/replay")[0] == 404
