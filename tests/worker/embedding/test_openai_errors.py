"""Tests of translating the client's errors."""

import inspect
import pickle

import httpx2
import openai
import pytest

from contract.errors import (
    EmbeddingDeniedError,
    EmbeddingRefusedError,
    EmbeddingReplyError,
    HeadraceError,
    ThrottledError,
    TimedOutError,
    TransientError,
    UnreachableError,
)
from worker.embedding.openai_errors import translate

ADDRESS = "http://host:1/v1"
REQUEST = httpx2.Request("POST", ADDRESS)
EXPECTED: dict[str, type[HeadraceError]] = {
    "APIConnectionError": UnreachableError,
    "APIError": EmbeddingReplyError,
    "APIResponseValidationError": EmbeddingReplyError,
    "APIStatusError": EmbeddingDeniedError,
    "APITimeoutError": TimedOutError,
    "AuthenticationError": EmbeddingDeniedError,
    "BadRequestError": EmbeddingRefusedError,
    "ConflictError": TransientError,
    "ContentFilterFinishReasonError": EmbeddingRefusedError,
    "InternalServerError": TransientError,
    "InvalidWebhookSignatureError": EmbeddingRefusedError,
    "LengthFinishReasonError": EmbeddingRefusedError,
    "NotFoundError": EmbeddingDeniedError,
    "OAuthError": EmbeddingDeniedError,
    "OpenAIError": EmbeddingRefusedError,
    "PermissionDeniedError": EmbeddingDeniedError,
    "RateLimitError": ThrottledError,
    "UnprocessableEntityError": EmbeddingRefusedError,
    "WebSocketConnectionClosedError": EmbeddingRefusedError,
    "WebSocketQueueFullError": EmbeddingRefusedError,
}


def status_error(
    status: int, body: object = None, headers: dict[str, str] | None = None
) -> openai.APIStatusError:
    """An error of the general kind with a status."""
    response = httpx2.Response(status, request=REQUEST, headers=headers)
    return openai.APIStatusError("m", response=response, body=body)


def example(kind: type[Exception]) -> Exception:
    """Make one exception of a class of the client."""
    if issubclass(kind, openai.OAuthError):
        return kind(response=httpx2.Response(401, request=REQUEST), body=None)
    if issubclass(kind, openai.APIStatusError | openai.APIResponseValidationError):
        status = getattr(kind, "status_code", None)
        status = status or (500 if kind is openai.InternalServerError else 402)
        response = httpx2.Response(status, request=REQUEST)
        if issubclass(kind, openai.APIResponseValidationError):
            return kind(response, None)
        return kind("m", response=response, body=None)
    if issubclass(kind, openai.APIConnectionError):
        return kind(request=REQUEST)
    if kind is openai.APIError:
        return openai.APIError("m", REQUEST, body=None)
    return kind.__new__(kind)


def test_every_exception_of_the_client_is_mapped() -> None:
    """Each exception class that openai exports has a place in our tree; a new one fails here."""
    exported = {
        name: kind
        for name, kind in list(vars(openai).items())
        if inspect.isclass(kind) and issubclass(kind, Exception) and not name.startswith("_")
    }
    got = {
        name: type(translate(example(kind), ADDRESS, 0.0, None)) for name, kind in exported.items()
    }
    assert got == EXPECTED


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
    error = translate(status_error(status), ADDRESS, 0.0, None)
    assert type(error) is kind
    assert f"{ADDRESS} answered {status}" in str(error)


@pytest.mark.parametrize("status", [429, 503])
def test_wait_is_carried(status: int) -> None:
    """What the server asks to wait is kept, and survives pickling."""
    error = translate(status_error(status, headers={"Retry-After": "3"}), ADDRESS, 0.0, None)
    assert isinstance(error, TransientError)
    assert error.retry_after_seconds == 3
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (copy.retry_after_seconds, str(copy)) == (3, str(error))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"message": "too  long\nby far"}, "answered 400: too long by far"),
        ({"detail": "no model"}, "answered 400: no model"),
        ("model not found", "answered 400: model not found"),
        (None, "answered 400: no message"),
    ],
)
def test_words_of_the_server_are_kept(body: object, words: str) -> None:
    """The server's own words are in the message, whichever form it uses, in one line."""
    assert str(translate(status_error(400, body), ADDRESS, 0.0, None)).endswith(words)


def test_message_is_short_and_without_the_key() -> None:
    """A server that sends back the key or a book can't get either into our message."""
    body = {"message": "bad key sk-secret " + "x" * 10_000}
    message = str(translate(status_error(401, body), ADDRESS, 0.0, "sk-secret"))
    assert "sk-secret" not in message
    assert "bad key ***" in message
    assert len(message) < 400
