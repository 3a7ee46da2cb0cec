"""Tests of the OpenAI-compatible embedder against a real endpoint."""

import asyncio
import contextlib
import socket
import traceback
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
from pydantic import SecretStr

from contract.errors import (
    EmbeddingDeniedError,
    EmbeddingRefusedError,
    EmbeddingReplyError,
    ThrottledError,
    TimedOutError,
    TransientError,
    UnreachableError,
    UsageError,
)
from headrace.bench.vectors import HashedWords
from tests.servers.endpoint import FakeEndpoint, fake_endpoint
from tests.servers.scripted import http_answer, scripted, trickle
from worker.embedding.openai import OpenAIEmbedder

DIMENSIONS = 16
KEY = "sk-do-not-show-me"


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


@contextlib.asynccontextmanager
async def embedder(
    base_url: str | None,
    *,
    key: str | None = None,
    dimensions: int | None = None,
    timeout_seconds: float = 10.0,
    max_connections: int = 32,
) -> AsyncIterator[OpenAIEmbedder]:
    """An embedder that is closed at the end."""
    made = OpenAIEmbedder(
        model="m",
        base_url=base_url,
        api_key=None if key is None else SecretStr(key),
        dimensions=dimensions,
        timeout_seconds=timeout_seconds,
        max_connections=max_connections,
        unix_time_seconds=lambda: 0.0,
    )
    try:
        yield made
    finally:
        await made.aclose()


async def test_vectors_come_in_order(endpoint: FakeEndpoint) -> None:
    """Vectors are those of the texts, in order, with the tokens that the endpoint counted."""
    texts = ("pattern matching", "garbage collection", "abcdefgh")
    async with embedder(endpoint.url) as ours:
        assert ours.dimensions is None
        embedded = await ours.embed(texts)
        assert np.array_equal(embedded.vectors, HashedWords(DIMENSIONS).embed(texts))
        assert embedded.tokens == 4 + 4 + 2
        assert ours.dimensions == DIMENSIONS
    assert endpoint.stats()["requests"] == 1


async def test_no_texts_make_no_request(endpoint: FakeEndpoint) -> None:
    """Nothing to embed costs no request."""
    async with embedder(endpoint.url, dimensions=DIMENSIONS) as ours:
        embedded = await ours.embed([])
    assert embedded.vectors.shape == (0, DIMENSIONS)
    assert endpoint.stats()["requests"] == 0


async def test_many_texts_are_split(endpoint: FakeEndpoint) -> None:
    """More than 2,048 texts go in several requests and come back as one array."""
    texts = [f"word{number}" for number in range(2049)]
    async with embedder(endpoint.url) as ours:
        embedded = await ours.embed(texts)
    assert np.array_equal(embedded.vectors, HashedWords(DIMENSIONS).embed(texts))
    assert embedded.tokens == sum(len(text) // 4 for text in texts)
    assert endpoint.stats()["requests"] == 2


async def test_order_of_the_reply_does_not_matter(endpoint: FakeEndpoint) -> None:
    """Vectors out of order are put right by their index."""
    endpoint.faults(shuffled=True)
    texts = ["a", "b", "c", "d"]
    async with embedder(endpoint.url) as ours:
        vectors = (await ours.embed(texts)).vectors
    assert np.array_equal(vectors, HashedWords(DIMENSIONS).embed(texts))


@pytest.mark.parametrize("fault", ["wrong_dimension", "short", "duplicate_index", "nan"])
async def test_damaged_replies_are_refused(endpoint: FakeEndpoint, fault: str) -> None:
    """A reply that would put a wrong vector beside a text is refused."""
    async with embedder(endpoint.url) as ours:
        await ours.embed(["a", "b"])
        endpoint.faults(**{fault: True})
        with pytest.raises(EmbeddingReplyError):
            await ours.embed(["a", "b"])


async def test_configured_dimension_is_asked_for_and_checked(endpoint: FakeEndpoint) -> None:
    """The dimension goes out with the request, and holds from the first reply on."""
    async with embedder(endpoint.url, dimensions=5) as ours:
        with pytest.raises(EmbeddingRefusedError, match="dimensions must be 16"):
            await ours.embed(["a"])
    endpoint.faults(wrong_dimension=True)
    async with embedder(endpoint.url, dimensions=DIMENSIONS) as ours:
        with pytest.raises(EmbeddingReplyError, match="17 dimensions where 16"):
            await ours.embed(["a"])


async def test_throttling_carries_the_wait_and_is_not_retried(endpoint: FakeEndpoint) -> None:
    """A 429 comes back at once, with what the endpoint asked to wait."""
    endpoint.faults(status=429, retry_after_seconds=0.25)
    async with embedder(endpoint.url) as ours:
        with pytest.raises(ThrottledError) as caught:
            await ours.embed(["a"])
    assert caught.value.retry_after_seconds == 0.25
    assert endpoint.stats()["requests"] == 1


async def test_retry_after_may_be_a_date() -> None:
    """A date is read against the clock that was given."""
    date = "Retry-After: Thu, 01 Jan 1970 00:00:30 GMT"
    async with (
        scripted(http_answer(b"", "503 Service Unavailable", date)) as (url, _),
        embedder(url) as ours,
    ):
        with pytest.raises(TransientError) as caught:
            await ours.embed(["a"])
    assert caught.value.retry_after_seconds == 30


@pytest.mark.parametrize("status", [500, 502, 503, 408, 409])
async def test_trouble_of_the_server_is_transient(endpoint: FakeEndpoint, status: int) -> None:
    """Trouble of the server may pass; the next call finds the embedder in order."""
    endpoint.faults(status=status)
    async with embedder(endpoint.url) as ours:
        with pytest.raises(TransientError) as caught:
            await ours.embed(["a"])
        assert type(caught.value) is TransientError
        assert len((await ours.embed(["a"])).vectors) == 1


async def test_refused_text(endpoint: FakeEndpoint) -> None:
    """A text that the endpoint refuses is refused, with the endpoint's words."""
    endpoint.faults(refuse_marker="POISON")
    async with embedder(endpoint.url) as ours:
        with pytest.raises(EmbeddingRefusedError, match="refused by its content"):
            await ours.embed(["a", "POISON"])


async def test_half_a_surrogate_pair_is_refused(endpoint: FakeEndpoint) -> None:
    """A text that JSON can't carry is refused as text, not raised as a foreign error."""
    async with embedder(endpoint.url) as ours:
        with pytest.raises(EmbeddingRefusedError, match="surrogate"):
            await ours.embed(["\ud800"])


async def test_hang_times_out(endpoint: FakeEndpoint) -> None:
    """An endpoint that does not answer costs no more than the time-out."""
    endpoint.faults(hang_requests=1)
    async with embedder(endpoint.url, timeout_seconds=0.2) as ours:
        with pytest.raises(TimedOutError):
            await ours.embed(["a"])
        assert len((await ours.embed(["a"])).vectors) == 1


async def test_trickle_times_out() -> None:
    """A reply that never ends, byte by byte, is cut off by the time-out all the same."""
    async with scripted(trickle) as (url, _), embedder(url, timeout_seconds=0.2) as ours:
        with pytest.raises(TimedOutError):
            await ours.embed(["a"])


async def test_dropped_connection_is_unreachable(endpoint: FakeEndpoint) -> None:
    """A connection cut before the answer counts as an outage."""
    endpoint.faults(drop_requests=1)
    async with embedder(endpoint.url) as ours:
        with pytest.raises(UnreachableError):
            await ours.embed(["a"])


async def test_nobody_listens() -> None:
    """An address without a server is named, without the credentials in it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with embedder(f"http://user:hunter2@127.0.0.1:{port}/v1", key=KEY) as ours:
        with pytest.raises(UnreachableError, match=f"http://127.0.0.1:{port}/v1") as caught:
            await ours.embed(["a"])
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


async def test_address_that_swallows_connections_is_unreachable() -> None:
    """A server that takes no connection at all counts as unreachable, not as slow."""
    with socket.socket() as full, contextlib.ExitStack() as fillers:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)  # noqa: FBT003 - the socket's own signature
            filler.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        async with embedder(url, timeout_seconds=0.6) as ours:
            with pytest.raises(UnreachableError):
                await ours.embed(["a"])


async def test_key_is_never_shown() -> None:
    """A server that sends the key back can't get it into the message or the traceback."""
    body = b'{"error": {"message": "Incorrect key: %s"}}' % KEY.encode()
    async with (
        scripted(http_answer(body, "401 Unauthorized")) as (url, heads),
        embedder(url, key=KEY) as ours,
    ):
        with pytest.raises(EmbeddingDeniedError, match=r"Incorrect key: \*\*\*") as caught:
            await ours.embed(["a"])
    assert f"Bearer {KEY}".encode() in heads[0]
    assert KEY not in "".join(traceback.format_exception(caught.value))


async def test_page_instead_of_an_api() -> None:
    """A web page at the base URL is told apart, with advice."""
    async with scripted(http_answer(b"<html>")) as (url, _), embedder(url) as ours:
        with pytest.raises(EmbeddingReplyError, match="base URL"):
            await ours.embed(["a"])


async def test_environment_does_not_leak(
    monkeypatch: pytest.MonkeyPatch, endpoint: FakeEndpoint
) -> None:
    """Variables that the libraries read by themselves change nothing."""
    for name, value in {
        "OPENAI_API_KEY": "leak-key",
        "OPENAI_ADMIN_KEY": "leak-admin",
        "OPENAI_API_BASE": "http://127.0.0.1:9/leak",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/leak",
        "OPENAI_API_TYPE": "azure",
        "OPENAI_API_VERSION": "leak-version",
        "OPENAI_ORG_ID": "leak-organization",
        "OPENAI_ORGANIZATION": "leak-organization",
        "OPENAI_PROJECT_ID": "leak-project",
        "OPENAI_PROXY": "http://127.0.0.1:9",
        "OPENAI_CUSTOM_HEADERS": "X-Extra: leak-header\nAuthorization: Bearer leak-bearer",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "ALL_PROXY": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    async with scripted(http_answer(b"{}")) as (url, heads), embedder(url) as ours:
        with pytest.raises(EmbeddingReplyError):
            await ours.embed(["a"])
    assert b"leak" not in heads[0]
    assert b"openai-" not in heads[0].lower()
    async with embedder(endpoint.url) as ours:
        assert len((await ours.embed(["a"])).vectors) == 1
    async with embedder(None, key=KEY) as ours:
        assert ours.address == "https://api.openai.com/v1"
        assert ours._url == f"{ours.address}/embeddings"


@pytest.mark.parametrize(
    ("base_url", "key"),
    [
        (None, None),
        (None, ""),
        ("localhost:11434/v1", None),
        ("ftp://host/v1", None),
        ("http://", None),
        ("http://host:port/v1", None),
        ("http://[::1/v1", None),
        ("http://host/v1", "sk-with-newline\n"),
        ("http://host/v1", "sk with blank"),
        ("http://host/v1", "sk-\u00e4"),
    ],
)
async def test_wrong_settings_are_refused_at_once(base_url: str | None, key: str | None) -> None:
    """An address or a key that can't be right is an error of use, before any request."""
    with pytest.raises(UsageError) as caught:
        async with embedder(base_url, key=key):
            pass
    assert not key or key not in str(caught.value)


async def test_many_tasks_share_bounded_connections(endpoint: FakeEndpoint) -> None:
    """Many tasks at once get their own vectors, over no more connections than allowed."""
    endpoint.faults(latency_seconds=0.01)
    texts = [f"word{number}" for number in range(40)]
    async with embedder(endpoint.url, max_connections=4) as ours:
        results = await asyncio.gather(*(ours.embed([text]) for text in texts))
    expected = HashedWords(DIMENSIONS).embed(texts)
    assert np.array_equal(np.concatenate([result.vectors for result in results]), expected)
    assert endpoint.stats()["max_in_flight"] == 4


async def test_waiting_for_a_turn_is_not_timed(endpoint: FakeEndpoint) -> None:
    """The time-out is for a request, not for the wait behind other requests."""
    endpoint.faults(latency_seconds=0.15)
    async with embedder(endpoint.url, timeout_seconds=0.4, max_connections=1) as ours:
        results = await asyncio.gather(*(ours.embed(["a"]) for _ in range(4)))
    assert len(results) == 4


async def test_cancelled_call_leaves_the_rest_in_order(endpoint: FakeEndpoint) -> None:
    """A call that is cancelled while it hangs gives its turn to the next."""
    endpoint.faults(hang_requests=1)
    async with embedder(endpoint.url, max_connections=1) as ours:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ours.embed(["a"]), 0.1)
        assert endpoint.stats()["hung"] == 1
        assert len((await ours.embed(["a"])).vectors) == 1
