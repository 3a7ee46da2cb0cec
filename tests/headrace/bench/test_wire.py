"""Tests of the HTTP that the benchmark's endpoint speaks, byte by byte."""

import re
import socket
from collections.abc import Iterator

import pytest

from tests.servers.endpoint import FakeEndpoint, fake_endpoint

DEADLINE_SECONDS = 10.0


@pytest.fixture(scope="module")
def endpoint() -> Iterator[FakeEndpoint]:
    """One endpoint for this module."""
    with fake_endpoint(dimensions=2) as running:
        yield running


def exchange(endpoint: FakeEndpoint, request: bytes) -> bytes:
    """Send bytes, and give all that comes back until the endpoint closes the connection."""
    with socket.create_connection(("127.0.0.1", endpoint.port), DEADLINE_SECONDS) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST /v1/embeddings HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n", 411),
        (b"POST /v1/embeddings HTTP/1.1\r\n\r\n", 411),
        (b"POST /v1/embeddings HTTP/1.1\r\ncontent-length: 67108865\r\n\r\n", 413),
        (b"POST /v1/embeddings HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (
            b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            400,
        ),
        (b"GET /stats HTTP/2\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /stats HTTP/1.1\r\nbad header: x\r\nno colon\r\n\r\n", 400),
        (b"GET /stats HTTP/1.1\r\nx: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /none HTTP/1.1\r\nconnection: close\r\n\r\n", 404),
        (b"GET /reset HTTP/1.1\r\nconnection: close\r\n\r\n", 405),
        (b"GET /stats HTTP/1.0\r\n\r\n", 200),
    ],
)
def test_http_is_kept_to(endpoint: FakeEndpoint, request_bytes: bytes, status: int) -> None:
    """Requests that can't be read are answered with the right status, and the connection ends."""
    assert exchange(endpoint, request_bytes).startswith(b"HTTP/1.1 %d " % status)


def test_connection_is_kept_alive(endpoint: FakeEndpoint) -> None:
    """Requests sent one behind the other on one connection are all answered, in order."""
    one = b"POST /v1/embeddings HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}"
    last = b"GET /stats HTTP/1.1\r\nconnection: close\r\n\r\n"
    answer = exchange(endpoint, one + one + last)
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"400", b"400", b"200"]


def test_body_is_asked_for_when_the_client_waits(endpoint: FakeEndpoint) -> None:
    """A client that expects a 100 before it sends its body gets one."""
    head = b"POST /v1/embeddings HTTP/1.1\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", endpoint.port), DEADLINE_SECONDS) as connection:
        connection.sendall(head)
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


def test_large_body_is_read(endpoint: FakeEndpoint) -> None:
    """Megabytes of text in one request are no trouble."""
    body = b'{"model": "m", "input": ["' + b"word " * 2_000_000 + b'"]}'
    head = b"POST /v1/embeddings HTTP/1.1\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
    assert exchange(endpoint, head % len(body) + body).startswith(b"HTTP/1.1 200 ")
