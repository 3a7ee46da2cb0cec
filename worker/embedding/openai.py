"""Embeds by any endpoint that speaks OpenAI's embedding API.

The request is made here, by the HTTP client that openai's own package is built on: base64 in,
one NumPy array out. A request costs a fifth of the CPU of ``OpenAIEmbeddings``, which makes a
Python float of every value, and half of the raw response of its client; a process starts two
seconds of CPU sooner; and the count, the order and the usage are checked. Whoever needs what only
LangChain's class has names that one as the provider.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import numpy as np
import orjson
from pydantic import SecretStr

from contract.errors import EmbeddingRefusedError, TimedOutError, UsageError
from worker.embedding.checks import check_vectors
from worker.embedding.embedded import Embedded
from worker.embedding.openai_errors import refused, unanswered
from worker.embedding.openai_reply import read_reply

MAX_INPUTS: Final = 2048
"""Most inputs of one request, the limit of OpenAI's API."""

_OPENAI_URL: Final = "https://api.openai.com/v1"
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_CONNECT_SECONDS: Final = 10.0


class OpenAIEmbedder:
    """Embeds texts by an OpenAI-compatible endpoint; for one event loop, by many tasks at once.

    It never retries: that is left to the caller. Of the environment it reads nothing, except
    the proxy and certificate settings common to all programs, and these not on loopback.

    Args:
        model: name of the model, as the endpoint knows it.
        base_url: address up to ``/v1``; None is OpenAI itself.
        api_key: key of the endpoint; None only if it needs none.
        dimensions: length of the vectors, which is also asked of the endpoint; None takes what
            it gives first and holds it to that (for endpoints that can't be asked).
        timeout_seconds: longest time of one request.
        max_connections: most requests at the same time; others wait, untimed, for their turn.
        heed: told the headers of each answer that is no error.
        unix_time_seconds: the clock by which dates in answers are read.

    Raises:
        UsageError: the address or the key can't be right.
    """

    def __init__(  # noqa: PLR0913 - all named
        self,
        *,
        model: str,
        base_url: str | None,
        api_key: SecretStr | None,
        dimensions: int | None,
        timeout_seconds: float,
        max_connections: int = 32,
        heed: Callable[[Mapping[str, str]], None] = lambda _: None,
        unix_time_seconds: Callable[[], float] = time.time,
    ) -> None:
        url = base_url or _OPENAI_URL
        host, self.address = _host_and_address(url)
        self._key = _checked_key(api_key, base_url)
        self._dimensions = dimensions
        self._timeout_seconds = timeout_seconds
        self._heed = heed
        self._unix_time_seconds = unix_time_seconds
        self._model = model
        self._asked_dimensions = dimensions
        self._url = f"{url.rstrip('/')}/embeddings"
        # Bounds the connections too: one is only opened when none is idle.
        self._turns = asyncio.Semaphore(max_connections)
        self._client = httpx2.AsyncClient(
            headers=_headers(self._key),
            # Connecting ends first, so that an address that swallows packets is unreachable.
            timeout=httpx2.Timeout(
                timeout_seconds, connect=min(timeout_seconds / 2, _CONNECT_SECONDS)
            ),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=max_connections),
            trust_env=host not in _LOOPBACK,
        )

    @property
    def dimensions(self) -> int | None:
        """Length of the vectors; None before the first reply if it was not configured."""
        return self._dimensions

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed texts, in requests of at most ``MAX_INPUTS``, one after the other.

        Returns:
            Vectors of shape (len(texts), dimensions), in the order of the texts.

        Raises:
            ThrottledError: 429; carries what the endpoint asks to wait.
            TimedOutError: no answer within the time-out.
            UnreachableError: no connection.
            TransientError: 408, 409, 5xx; carries what the endpoint asks to wait.
            EmbeddingRefusedError: the endpoint refuses the texts, the key or the model.
            EmbeddingReplyError: the reply can't be used.
        """
        parts = [
            await self._embed_request(list(texts[start : start + MAX_INPUTS]))
            for start in range(0, len(texts), MAX_INPUTS)
        ]
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return Embedded(np.empty((0, self._dimensions or 0), dtype=np.float32), 0)
        return Embedded.joined(parts)

    async def aclose(self) -> None:
        """Close the connections; the embedder is of no more use."""
        await self._client.aclose()

    async def _embed_request(self, texts: list[str]) -> Embedded:
        content = await self._post(texts)
        vectors, tokens = read_reply(content, len(texts), self.address)
        check_vectors(vectors, len(texts), self._dimensions)
        self._dimensions = vectors.shape[1]
        return Embedded(vectors, tokens)

    async def _post(self, texts: list[str]) -> bytes:
        fields: dict[str, Any] = {
            "input": texts,
            "model": self._model,
            "encoding_format": "base64",
        }
        if self._asked_dimensions is not None:
            fields["dimensions"] = self._asked_dimensions
        try:
            body = orjson.dumps(fields)
        except orjson.JSONEncodeError as error:
            raise EmbeddingRefusedError(
                "a text holds half a surrogate pair, which no JSON can carry"
            ) from error
        try:
            async with self._turns, asyncio.timeout(self._timeout_seconds):
                response = await self._client.post(self._url, content=body)
        except TimeoutError as error:
            raise TimedOutError(
                f"the embedding endpoint {self.address} did not answer within "
                f"{self._timeout_seconds:g} s"
            ) from error
        except httpx2.TransportError as error:
            raise unanswered(error, self.address, self._key) from self._quotable(error)
        if response.status_code != httpx2.codes.OK:
            raise refused(response, self.address, self._unix_time_seconds(), self._key)
        self._heed(response.headers)
        return response.content

    def _quotable(self, error: Exception) -> Exception | None:
        return None if self._key is not None and self._key in str(error) else error


def _headers(key: str | None) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "accept": "application/json",
        "user-agent": "headrace",
    }
    # Servers without keys (Ollama, vLLM) need no header.
    return headers if key is None else {**headers, "authorization": f"Bearer {key}"}


def _host_and_address(url: str) -> tuple[str, str]:
    """Give the host, and the address without user name and password."""
    advice = "give it as http://host:port/v1 or https://host/v1"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"the embedding base URL can't be read; {advice}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"the embedding base URL has no http:// or https:// and host; {advice}")
    named = f"[{host}]" if ":" in host else host
    shown = named if port is None else f"{named}:{port}"
    return host, f"{parts.scheme}://{shown}{parts.path}"


def _checked_key(api_key: SecretStr | None, base_url: str | None) -> str | None:
    key = api_key.get_secret_value() if api_key is not None else ""
    if not key:
        if base_url is None:
            raise UsageError(
                "OpenAI needs an API key: set HEADRACE_EMBEDDING_API_KEY or OPENAI_API_KEY, or "
                "HEADRACE_EMBEDDING_BASE_URL for an endpoint that needs none"
            )
        return None
    if not (key.isascii() and key.isprintable()) or " " in key:
        # The HTTP client would quote the whole key in its own complaint.
        raise UsageError(
            "the embedding API key holds a blank, a line break or a letter outside ASCII; check "
            "how it was copied"
        )
    return key
