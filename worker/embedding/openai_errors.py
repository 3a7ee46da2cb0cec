"""Translates the errors of the ``openai`` client into ours, once."""

import openai

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
from worker.embedding.retry_after import retry_after_seconds

_MESSAGE_CHARACTERS = 300
_THROTTLED = 429
_SERVER_ERROR = 500
# Bad request, too large, not processable. Other refusals are about the key or the model.
_ABOUT_THE_TEXTS = frozenset({400, 413, 422})
# Timed out at the server, in conflict, sent too early: the same request may succeed later.
_TRANSIENT = frozenset({408, 409, 425})


def translate(
    error: Exception, address: str, now_seconds: float, secret: str | None
) -> HeadraceError:
    """Give the error to raise in place of one of the client's.

    Args:
        error: what the client raised.
        address: the endpoint's address, without credentials.
        now_seconds: Unix time, to read dates in answers.
        secret: the API key, which is taken out of every text; None if there is none.
    """

    def said(text: object) -> str:
        line = " ".join(str(text).split())
        return (line.replace(secret, "***") if secret else line)[:_MESSAGE_CHARACTERS]

    match error:
        case openai.APIStatusError():
            return _from_status(error, address, now_seconds, said(_server_message(error)))
        case openai.APITimeoutError() if type(error.__cause__).__name__ == "ConnectTimeout":
            return UnreachableError(f"the embedding endpoint {address} does not take connections")
        case openai.APITimeoutError():
            return TimedOutError(f"the embedding endpoint {address} did not answer in time")
        case openai.APIConnectionError():
            cause = error.__cause__ or error
            return UnreachableError(
                f"the embedding endpoint {address} can't be reached "
                f"({type(cause).__name__}: {said(cause) or 'no details'}); check that it runs "
                "and that the base URL is right"
            )
        case openai.APIResponseValidationError() | openai.APIError():
            return EmbeddingReplyError(
                f"the embedding endpoint {address} gave an answer that can't be used: {said(error)}"
            )
    # What is left is raised for a client that is set up wrongly, or by other parts of the API.
    return EmbeddingRefusedError(
        f"the client of the embedding endpoint {address} refused the call "
        f"({type(error).__name__}): {said(error)}"
    )


def _from_status(
    error: openai.APIStatusError, address: str, now_seconds: float, message: str
) -> HeadraceError:
    status = error.status_code
    text = f"the embedding endpoint {address} answered {status}: {message}"
    wait_seconds = retry_after_seconds(error.response.headers, now_seconds)
    if status == _THROTTLED:
        return ThrottledError(text, wait_seconds)
    if status in _TRANSIENT or status >= _SERVER_ERROR:
        return TransientError(text, wait_seconds)
    if status in _ABOUT_THE_TEXTS:
        return EmbeddingRefusedError(text)
    return EmbeddingDeniedError(text)


def _server_message(error: openai.APIStatusError) -> object:
    """Give the server's own words: OpenAI's form, a bare message, or the text of the body."""
    body = error.body
    if isinstance(body, dict):
        return body.get("message") or body.get("detail") or body
    return body or "no message"
