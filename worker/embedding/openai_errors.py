"""Turns what an embedding endpoint answers instead of vectors into our errors, once."""

import httpx2
import orjson

from contract.errors import (
    EmbeddingDeniedError,
    EmbeddingRefusedError,
    HeadraceError,
    ThrottledError,
    TimedOutError,
    TransientError,
    UnreachableError,
)
from worker.embedding.retry_after import retry_after_seconds

_MESSAGE_CHARACTERS = 300
_THROTTLED = 429
_SERVER_ERROR = 500
# Bad request, too large, not processable. Other refusals are about the key or the model.
_ABOUT_THE_TEXTS = frozenset({400, 413, 422})
# Timed out at the server, in conflict, sent too early: the same request may succeed later.
_TRANSIENT = frozenset({408, 409, 425})


def unanswered(error: httpx2.TransportError, address: str, secret: str | None) -> HeadraceError:
    """Give the error to raise where no answer came.

    Args:
        error: what the HTTP client raised.
        address: the endpoint's address, without credentials.
        secret: the API key, which is taken out of every text; None if there is none.
    """
    match error:
        case httpx2.ConnectTimeout():
            return UnreachableError(f"the embedding endpoint {address} does not take connections")
        case httpx2.TimeoutException():
            return TimedOutError(f"the embedding endpoint {address} did not answer in time")
    said = _said(error, secret) or "no details"
    return UnreachableError(
        f"the embedding endpoint {address} can't be reached ({type(error).__name__}: {said}); "
        "check that it runs and that the base URL is right"
    )


def refused(
    response: httpx2.Response, address: str, now_seconds: float, secret: str | None
) -> HeadraceError:
    """Give the error to raise for an answer with any other status than 200.

    Args:
        response: the whole answer.
        address: the endpoint's address, without credentials.
        now_seconds: Unix time, to read dates in answers.
        secret: the API key, which is taken out of every text; None if there is none.
    """
    status = response.status_code
    message = _said(_server_message(response), secret)
    text = f"the embedding endpoint {address} answered {status}: {message}"
    wait_seconds = retry_after_seconds(response.headers, now_seconds)
    if status == _THROTTLED:
        return ThrottledError(text, wait_seconds)
    if status in _TRANSIENT or status >= _SERVER_ERROR:
        return TransientError(text, wait_seconds, status)
    if status in _ABOUT_THE_TEXTS:
        return EmbeddingRefusedError(text)
    return EmbeddingDeniedError(text)


def _said(text: object, secret: str | None) -> str:
    line = " ".join(str(text).split())
    return (line.replace(secret, "***") if secret else line)[:_MESSAGE_CHARACTERS]


def _server_message(response: httpx2.Response) -> object:
    """Give the server's own words: OpenAI's form, a bare message, or the text of the body."""
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return response.text or "no message"
    if isinstance(body, dict):
        body = body.get("error") or body
    if isinstance(body, dict):
        return body.get("message") or body.get("detail") or body
    return body or "no message"
