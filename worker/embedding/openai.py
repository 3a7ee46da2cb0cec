"""Embeds by any endpoint that speaks OpenAI's embedding API.

The client is LangChain's ``OpenAIEmbeddings``, but the call is made on the raw response of its
own async client: that costs a fraction of the client CPU of its ``aembed_documents``, which makes
a Python float of every value, and lets the count, the order and the usage be checked.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np
import openai
from langchain_openai import OpenAIEmbeddings
from pydantic import SecretStr

from contract.errors import (
    EmbeddingRefusedError,
    TimedOutError,
    UsageError,
)
from worker.embedding.checks import check_vectors
from worker.embedding.embedded import Embedded
from worker.embedding.openai_errors import translate
from worker.embedding.openai_reply import read_reply

MAX_INPUTS: Final = 2048
"""Most inputs of one request, the limit of OpenAI's API."""

_OPENAI_URL: Final = "https://api.openai.com/v1"
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
# Servers without keys (Ollama, vLLM) ignore it; the client insists on one.
_NO_KEY: Final = "none"
_CONNECT_SECONDS: Final = 10.0
# The client adds headers from the environment by itself; only its fixed ones go out.
_HEADERS: Final = frozenset(
    {
        *("accept", "accept-encoding", "authorization", "connection", "content-length"),
        *("content-type", "host", "idempotency-key", "user-agent"),
    }
)
_CLIENT_HEADERS: Final = "x-stainless-"


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
        # Bounds the connections too: one is only opened when none is idle.
        self._turns = asyncio.Semaphore(max_connections)
        self._http_client = openai.DefaultAsyncHttpxClient(
            trust_env=host not in _LOOPBACK,
            event_hooks={"request": [_drop_foreign_headers]},
        )
        self._embeddings = _embeddings(
            model=model,
            url=url,
            key=self._key or _NO_KEY,
            dimensions=dimensions,
            timeout_seconds=timeout_seconds,
            http_client=self._http_client,
        )
        self._create = self._embeddings.async_client.with_raw_response.create

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
        tokens = [part.tokens for part in parts if part.tokens is not None]
        return Embedded(
            vectors=np.concatenate([part.vectors for part in parts]),
            tokens=sum(tokens) if len(tokens) == len(parts) else None,
        )

    async def aclose(self) -> None:
        """Close the connections; the embedder is of no more use."""
        await self._http_client.aclose()

    async def _embed_request(self, texts: list[str]) -> Embedded:
        content = await self._post(texts)
        vectors, tokens = read_reply(content, len(texts), self.address)
        check_vectors(vectors, len(texts), self._dimensions)
        self._dimensions = vectors.shape[1]
        return Embedded(vectors, tokens)

    async def _post(self, texts: list[str]) -> bytes:
        asked = self._embeddings.dimensions
        arguments = {} if asked is None else {"dimensions": asked}
        try:
            async with self._turns, asyncio.timeout(self._timeout_seconds):
                response = await self._create(
                    input=texts,
                    model=self._embeddings.model,
                    encoding_format="base64",
                    **arguments,
                )
                self._heed(response.http_response.headers)
                content: bytes = response.http_response.content
                return content
        except TimeoutError as error:
            raise TimedOutError(
                f"the embedding endpoint {self.address} did not answer within "
                f"{self._timeout_seconds:g} s"
            ) from error
        except UnicodeEncodeError as error:
            raise EmbeddingRefusedError(
                "a text holds half a surrogate pair, which no JSON can carry"
            ) from error
        except openai.OpenAIError as error:
            translated = translate(error, self.address, self._unix_time_seconds(), self._key)
            quotes_key = self._key is not None and self._key in f"{error} {error.__cause__}"
            raise translated from (None if quotes_key else error)


def _embeddings(
    *,
    model: str,
    url: str,
    key: str,
    dimensions: int | None,
    timeout_seconds: float,
    http_client: Any,
) -> OpenAIEmbeddings:
    async def current_key() -> str:
        return key

    return OpenAIEmbeddings(
        model=model,
        base_url=url,
        # An async callable, so that no second, synchronous client is made beside it.
        api_key=current_key,
        # Set in the explicit headers as well: these win over the environment's.
        default_headers={"Authorization": f"Bearer {key}"},
        dimensions=dimensions,
        # Connecting ends first, so that an address that swallows packets counts as unreachable.
        timeout=openai.Timeout(timeout_seconds, connect=min(timeout_seconds / 2, _CONNECT_SECONDS)),
        max_retries=0,
        http_async_client=http_client,
        check_embedding_ctx_length=urlsplit(url).hostname == urlsplit(_OPENAI_URL).hostname,
        # Named so that they are not read from the environment.
        api_version=None,
        organization=None,
        openai_api_type=None,
        openai_proxy=None,
    )


async def _drop_foreign_headers(request: Any) -> None:
    """Drop the organization, project and custom headers that the client finds in variables."""
    headers = request.headers
    for name in [name for name in headers if name not in _HEADERS]:
        if not name.startswith(_CLIENT_HEADERS):
            del headers[name]


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
