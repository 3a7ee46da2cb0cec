"""Tests of the benchmark's embedding endpoint, over real HTTP."""

import base64
import concurrent.futures
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.bench.vectors import HashedWords
from tests.servers.endpoint import FakeEndpoint, fake_endpoint

ROOT = Path(__file__).resolve().parents[3]
DIMENSIONS = 16
DEADLINE_SECONDS = 10.0


@pytest.fixture(scope="module")
def running() -> Iterator[FakeEndpoint]:
    """One endpoint for this module."""
    with fake_endpoint(dimensions=DIMENSIONS) as endpoint:
        yield endpoint


@pytest.fixture
def endpoint(running: FakeEndpoint) -> FakeEndpoint:
    """The endpoint as it was at the start."""
    running.reset()
    return running


def post(
    endpoint: FakeEndpoint, path: str = "/v1/embeddings", **fields: Any
) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Send a request on a connection of its own; give status, headers and JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=DEADLINE_SECONDS)
    with contextlib.closing(connection):
        connection.request("POST", path, json.dumps({"model": "m"} | fields))
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, json.loads(response.read())


def test_answer_has_openai_form(endpoint: FakeEndpoint) -> None:
    """Vectors come with their index, in the order of the texts, with the tokens counted."""
    texts = ["pattern matching", "x" * 40]
    status, _, answer = post(endpoint, input=texts)
    assert status == 200
    assert [item["index"] for item in answer["data"]] == [0, 1]
    assert answer["usage"] == {"prompt_tokens": 14, "total_tokens": 14}
    vectors = np.array([item["embedding"] for item in answer["data"]], dtype=np.float32)
    assert np.array_equal(vectors, HashedWords(DIMENSIONS).embed(texts))


def test_a_cut_answer_ends_half_way(endpoint: FakeEndpoint) -> None:
    """The head promises more than comes; the next answer is whole again."""
    endpoint.faults(cut_requests=1)
    with pytest.raises(http.client.IncompleteRead):
        post(endpoint, input=["a"])
    assert post(endpoint, input=["a"])[0] == 200
    assert endpoint.stats()["dropped"] == 1


def test_base64_holds_the_same_floats(endpoint: FakeEndpoint) -> None:
    """Base64 is little-endian 32-bit floats, and a single string is a list of one."""
    _, _, answer = post(endpoint, input="hello", encoding_format="base64")
    (item,) = answer["data"]
    vector = np.frombuffer(base64.b64decode(item["embedding"]), dtype="<f4")
    assert np.array_equal(vector, HashedWords(DIMENSIONS).embed(["hello"])[0])


@pytest.mark.parametrize(
    "fields",
    [
        {"input": [1, 2, 3]},
        {"input": [[1, 2], [3]]},
        {"input": []},
        {"input": ["a"] * 2049},
        {},
        {"input": "a", "model": None},
        {"input": "a", "encoding_format": "hex"},
        {"input": "a", "dimensions": 5},
    ],
)
def test_wrong_requests_are_refused(endpoint: FakeEndpoint, fields: dict[str, Any]) -> None:
    """Token ids and other wrong input get 400 in OpenAI's form."""
    status, _, answer = post(endpoint, **fields)
    assert status == 400
    assert answer["error"]["type"] == "invalid_request_error"
    assert set(answer["error"]) == {"message", "type", "param", "code"}


def test_stats_count_what_was_done(endpoint: FakeEndpoint) -> None:
    """Counts tell requests, texts, distinct texts, tokens and answers, until a reset."""
    post(endpoint, input=["abcd", "abcd", "efghijkl"])
    post(endpoint, input=[1])
    stats = endpoint.stats()
    assert (stats["requests"], stats["texts"], stats["distinct_texts"]) == (2, 3, 2)
    assert (stats["tokens"], stats["max_in_flight"], stats["in_flight"]) == (4, 1, 0)
    assert stats["responses"] == {"200": 1, "400": 1}
    endpoint.reset()
    assert endpoint.stats()["requests"] == 0


def test_status_strikes_the_next_requests_only(endpoint: FakeEndpoint) -> None:
    """A status with a wait is answered as often as asked, with both headers of the wait."""
    endpoint.faults(status=429, status_requests=2, retry_after_seconds=1.5)
    answers = [post(endpoint, input="a") for _ in range(3)]
    assert [status for status, _, _ in answers] == [429, 429, 200]
    assert answers[0][1]["retry-after"] == "2"
    assert answers[0][1]["retry-after-ms"] == "1500"
    assert answers[0][2]["error"]["code"] == "rate_limit_exceeded"


def test_drop_closes_the_connection(endpoint: FakeEndpoint) -> None:
    """A dropped request ends in a closed connection, the next one is answered."""
    endpoint.faults(drop_requests=1)
    with pytest.raises(ConnectionError):
        post(endpoint, input="a")
    assert post(endpoint, input="a")[0] == 200
    assert endpoint.stats()["dropped"] == 1


def test_hang_gives_no_answer(endpoint: FakeEndpoint) -> None:
    """A hung request stays open without a byte, while others are answered."""
    endpoint.faults(hang_requests=1)
    with socket.create_connection(("127.0.0.1", endpoint.port), DEADLINE_SECONDS) as connection:
        connection.sendall(b"POST /v1/embeddings HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}")
        end = time.monotonic() + DEADLINE_SECONDS
        while not endpoint.stats()["hung"] and time.monotonic() < end:
            pass
        assert post(endpoint, input="a")[0] == 200
        connection.setblocking(False)  # noqa: FBT003 - the socket's own signature
        with pytest.raises(BlockingIOError):
            connection.recv(1)


def test_damaged_answers(endpoint: FakeEndpoint) -> None:
    """Each damage does what its name says, and goes away when it is set back."""
    texts = ["a", "b", "c"]

    def answer(**faults: object) -> list[dict[str, Any]]:
        endpoint.reset()
        endpoint.faults(**faults)
        data: list[dict[str, Any]] = post(endpoint, input=texts)[2]["data"]
        return data

    right = answer()
    assert {len(item["embedding"]) for item in answer(wrong_dimension=True)} == {DIMENSIONS + 1}
    assert answer(short=True) == right[:2]
    assert answer(shuffled=True) == [right[1], right[2], right[0]]
    assert [item["index"] for item in answer(duplicate_index=True)] == [0, 1, 0]
    assert answer(nan=True)[2]["embedding"][0] is None
    assert answer() == right


def test_marker_refuses_the_request_that_holds_it(endpoint: FakeEndpoint) -> None:
    """Only a request with the marker in a text is refused."""
    endpoint.faults(refuse_marker="POISON")
    status, _, answer = post(endpoint, input=["good", "some POISON here"])
    assert (status, answer["error"]["code"]) == (400, "invalid_request")
    assert post(endpoint, input=["good"])[0] == 200


def test_too_many_at_once_are_turned_away(endpoint: FakeEndpoint) -> None:
    """Above the limit of requests in flight the answer is 429."""
    endpoint.faults(max_in_flight=2, latency_seconds=0.3)
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        statuses = list(pool.map(lambda _: post(endpoint, input="a")[0], range(5)))
    assert sorted(statuses) == [200, 200, 429, 429, 429]
    # Who is turned away leaves at once, so that three is the most there can be for sure.
    assert 3 <= endpoint.stats()["max_in_flight"] <= 5


def test_requests_per_minute_are_limited(endpoint: FakeEndpoint) -> None:
    """Above the rate the answer is 429 with the time to wait."""
    endpoint.faults(requests_per_minute=6)
    assert post(endpoint, input="a")[0] == 200
    status, headers, _ = post(endpoint, input="a")
    assert status == 429
    assert 8 <= int(headers["retry-after"]) <= 10


def test_wrong_fault_is_named(endpoint: FakeEndpoint) -> None:
    """A fault that does not exist is an error of the caller."""
    status, _, answer = post(endpoint, "/faults", model=0)
    assert status == 400
    assert "'model'" in answer["error"]["message"]


def test_latency_comes_from_the_command_line() -> None:
    """Every good answer waits for the latency that was given."""
    with fake_endpoint(dimensions=2, latency_seconds=0.2) as endpoint:
        start = time.monotonic()
        assert post(endpoint, input="a")[0] == 200
        assert time.monotonic() - start >= 0.2


def start(*arguments: str, stdin: int) -> tuple["subprocess.Popen[bytes]", int]:
    """Start an endpoint; give the process and its port."""
    process = subprocess.Popen(
        (sys.executable, "-m", "headrace.bench.endpoint", "--dimensions", "2", *arguments),
        cwd=ROOT,
        stdin=stdin,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    return process, int(url.rpartition(":")[2].partition("/")[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it(number: signal.Signals) -> None:
    """A signal ends it with exit code 0, although a client is still connected."""
    process, port = start(stdin=subprocess.DEVNULL)
    with process, socket.create_connection(("127.0.0.1", port)):
        process.send_signal(number)
        assert process.wait(DEADLINE_SECONDS) == 0


def test_closed_standard_input_ends_it() -> None:
    """With --die-with-parent it ends when the pipe to its standard input is closed."""
    process, _ = start("--die-with-parent", stdin=subprocess.PIPE)
    with process:
        assert process.poll() is None
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(DEADLINE_SECONDS) == 0


def test_death_of_the_parent_ends_it() -> None:
    """With --die-with-parent it ends when its parent is killed, without any pipe between them."""
    command = [sys.executable, "-m", "headrace.bench.endpoint", "--die-with-parent"]
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import subprocess; subprocess.run({command!r}, stdin=subprocess.DEVNULL)",
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    with parent:
        assert parent.stdout is not None
        url = json.loads(parent.stdout.readline())["url"]
        port = int(url.rpartition(":")[2].partition("/")[0])
        with socket.create_connection(("127.0.0.1", port), DEADLINE_SECONDS) as connection:
            os.kill(parent.pid, signal.SIGKILL)
            # It cuts its connections when it ends; a time-out would raise here.
            assert connection.recv(1) == b""
