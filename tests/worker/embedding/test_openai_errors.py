"""Tests of what becomes of an endpoint's refusals and silences."""

import inspect
import pickle

import httpx2
import orjson
import pytest

from contract.errors import (
    EmbeddingDeniedError,
    EmbeddingRefusedError,
    HeadraceError,
    ThrottledError,
    TimedOutError,
    TransientError,
    UnreachableError,
)
from worker.embedding.openai_errors import refused, unanswered

ADDRESS = "http://host:1/v1"
SILENT = {"ReadTimeout", "WriteTimeout", "PoolTimeout", "TimeoutException"}


def answer(
    status: int, body: object = None, headers: dict[str, str] | None = None
) -> HeadraceError:
    """Give the error for an answer."""
    content = b"" if body is None else orjson.dumps(body)
    response = httpx2.Response(status, headers=headers, content=content)
    return refused(response, ADDRESS, 0.0, "sk-secret")


def test_every_exception_of_the_client_is_mapped() -> None:
    """No answer within the time is a time-out; all else means that nobody is there."""
    exported = {
        name: kind
        for name, kind in list(vars(httpx2).items())
        if inspect.isclass(kind) and issubclass(kind, httpx2.TransportError)
    }
    assert set(exported) > SILENT
    for name, kind in exported.items():
        error = unanswered(kind("no sk-secret"), ADDRESS, "sk-secret")
        assert type(error) is (TimedOutError if name in SILENT else UnreachableError), name
        assert ADDRESS in str(error)
        assert "sk-secret" not in str(error)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, EmbeddingRefusedError) for status in (400, 413, 422)),
        *((status, EmbeddingDeniedError) for status in (401, 403, 404, 302, 405)),
        *((status, TransientError) for status in (408, 409, 500, 502, 503, 504, 529)),
        (429, ThrottledError),
    ],
)
def test_status_decides(status: int, kind: type[HeadraceError]) -> None:
    """The status decides whether the call may succeed later."""
    error = answer(status)
    if type(error) is TransientError:
        assert error.status == status
    assert type(error) is kind
    assert f"{ADDRESS} answered {status}" in str(error)


@pytest.mark.parametrize("status", [429, 503])
def test_wait_is_carried(status: int) -> None:
    """What the server asks to wait is kept, and survives pickling."""
    error = answer(status, headers={"Retry-After": "3"})
    assert isinstance(error, TransientError)
    assert error.retry_after_seconds == 3
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (copy.retry_after_seconds, str(copy)) == (3, str(error))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "too  long\nby far"}}, "answered 400: too long by far"),
        ({"error": "no such model"}, "answered 400: no such model"),
        ({"message": "too long"}, "answered 400: too long"),
        ({"detail": "no model"}, "answered 400: no model"),
        ("model not found", "answered 400: model not found"),
        (None, "answered 400: no message"),
    ],
)
def test_words_of_the_server_are_kept(body: object, words: str) -> None:
    """The server's own words are in the message, whichever form it uses, in one line."""
    assert str(answer(400, body)).endswith(words)


def test_message_is_short_and_without_the_key() -> None:
    """A server that sends back the key or a book can't get either into our message."""
    body = {"message": "bad key sk-secret " + "x" * 10_000}
    message = str(answer(401, body))
    assert "sk-secret" not in message
    assert "bad key ***" in message
    assert len(message) < 400
