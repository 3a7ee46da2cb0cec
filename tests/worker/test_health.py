"""The HTTP side door of a worker."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from contract.errors import UsageError
from worker.health import HealthServer

State = dict[str, object]


@pytest.fixture
def state() -> State:
    """Give what /healthz is to show."""
    return {"ok": True}


@pytest.fixture
def server(state: State) -> Iterator[HealthServer]:
    """Serve on a free port."""
    registry = CollectorRegistry()
    Counter("mill_turns", "Turns.", registry=registry).inc(3)
    server = HealthServer("127.0.0.1", 0, registry, lambda: state)
    yield server
    server.close()


def get(server: HealthServer, path: str) -> tuple[int, str, bytes]:
    """Fetch a page: status, content type, body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


def test_metrics_are_in_a_format_that_prometheus_reads(server: HealthServer) -> None:
    """/metrics shows the registry as text, also when a query string follows."""
    status, content_type, body = get(server, "/metrics?name=x")
    assert status == 200
    assert content_type.startswith("text/plain; version=")
    assert b"mill_turns_total 3.0" in body


def test_health_follows_the_state(server: HealthServer, state: State) -> None:
    """/healthz answers 200 while the worker is well and 503 when it is not."""
    assert get(server, "/healthz")[0] == 200
    state["ok"] = False
    status, _, body = get(server, "/healthz")
    assert status == 503
    assert json.loads(body) == {"ok": False}


def test_other_pages_are_not_there(server: HealthServer) -> None:
    """Anything else is 404."""
    assert get(server, "/")[0] == 404


def test_a_port_that_is_taken_is_an_error() -> None:
    """A worker whose metrics nobody could see does not start silently."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"127.0.0.1:{port}.*HEADRACE_METRICS_PORT"):
            HealthServer("127.0.0.1", port, CollectorRegistry(), dict)


def test_closing_frees_the_port(state: State) -> None:
    """After close the port can be bound again."""
    server = HealthServer("127.0.0.1", 0, CollectorRegistry(), lambda: state)
    server.close()
    HealthServer("127.0.0.1", server.port, CollectorRegistry(), lambda: state).close()
