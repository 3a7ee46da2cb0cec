"""The HTTP side door of a process."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from contract.errors import UsageError
from contract.side_door import MAX_BODY_BYTES, Reply, Request, SideDoor, standard_routes

State = dict[str, object]


@pytest.fixture
def state() -> State:
    """Give what /healthz is to show."""
    return {"ok": True}


@pytest.fixture
def server(state: State) -> Iterator[SideDoor]:
    """Serve on a free port."""
    registry = CollectorRegistry()
    Counter("mill_turns", "Turns.", registry=registry).inc(3)
    routes = standard_routes(registry, lambda: state, lambda: {"ok": False, "why": "draining"})

    def echo(request: Request) -> Reply:
        return Reply(200, "text/plain", request.body, {"X-Query": request.query})

    def fail(_: Request) -> Reply:
        raise RuntimeError("s3cret")

    server = SideDoor(
        "127.0.0.1", 0, {**routes, ("POST", "/echo"): echo, ("GET", "/failing"): fail}
    )
    yield server
    server.close()


def get(server: SideDoor, path: str) -> tuple[int, str, bytes]:
    """Fetch a page: status, content type, body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


def test_metrics_are_in_a_format_that_prometheus_reads(server: SideDoor) -> None:
    """/metrics shows the registry as text, also when a query string follows."""
    status, content_type, body = get(server, "/metrics?name=x")
    assert status == 200
    assert content_type.startswith("text/plain; version=")
    assert b"mill_turns_total 3.0" in body


def test_health_follows_the_state(server: SideDoor, state: State) -> None:
    """/healthz answers 200 while the worker is well and 503 when it is not."""
    assert get(server, "/healthz")[0] == 200
    state["ok"] = False
    status, _, body = get(server, "/healthz")
    assert status == 503
    assert json.loads(body) == {"ok": False}


def test_other_pages_are_not_there(server: SideDoor) -> None:
    """Anything else is 404."""
    assert get(server, "/")[0] == 404


def post(server: SideDoor, path: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    """Send a body: status and answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{path}", data=body, headers=headers
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - http on loopback
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_readiness_is_apart_from_health(server: SideDoor) -> None:
    """/readyz answers 503 while a process that lives is not to be sent work."""
    assert get(server, "/healthz")[0] == 200
    status, _, body = get(server, "/readyz")
    assert (status, json.loads(body)) == (503, {"ok": False, "why": "draining"})


def test_a_body_is_handed_over_unless_it_is_too_large(server: SideDoor) -> None:
    """What strangers send is bounded."""
    assert post(server, "/echo?a=b", b"grist") == (200, b"grist")
    assert post(server, "/echo", b"x" * (MAX_BODY_BYTES + 1))[0] == 413
    assert post(server, "/metrics", b"")[0] == 404


def test_a_failure_tells_nothing(server: SideDoor) -> None:
    """A stranger hears of no reason; the door stays open."""
    status, _, body = get(server, "/failing")
    assert (status, body) == (500, b"failed\n")
    assert get(server, "/healthz")[0] == 200


def test_a_port_that_is_taken_is_an_error() -> None:
    """A worker whose metrics nobody could see does not start silently."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"127.0.0.1:{port}.*HEADRACE_METRICS_PORT"):
            SideDoor("127.0.0.1", port, {})


def test_closing_frees_the_port() -> None:
    """After close the port can be bound again."""
    server = SideDoor("127.0.0.1", 0, {})
    server.close()
    SideDoor("127.0.0.1", server.port, {}).close()
