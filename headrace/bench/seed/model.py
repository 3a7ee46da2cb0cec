"""The embedding endpoint of the measurement, as both sides use it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx2
import openai
from langchain_openai import OpenAIEmbeddings
from pydantic import SecretStr

from contract.errors import EmbeddingReplyError
from contract.settings import Settings, address
from headrace.bench.seed.options import SeedOptions
from worker.embedding.build import OPENAI
from worker.embedding.openai_errors import refused, unanswered

NO_KEY = "none"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def with_endpoint(settings: Settings, options: SeedOptions, base_url: str) -> Settings:
    """Put the endpoint into the settings; only one that the user named gets the user's key."""
    is_ours = options.base_url is None
    return settings.model_copy(
        update={
            "embedding_provider": OPENAI,
            "embedding_base_url": base_url,
            "embedding_model": options.model,
            "embedding_dimensions": options.dimensions if is_ours else None,
            "embedding_api_key": SecretStr(NO_KEY) if is_ours else settings.embedding_api_key,
        }
    )


class Model:
    """LangChain's client of an endpoint, as its users make it."""

    def __init__(self, settings: Settings) -> None:
        """Make the client; nothing is sent yet. ``aclose`` closes it."""
        self._settings = settings
        url = settings.embedding_base_url or ""
        # No proxy leads to this machine.
        uses_proxies = urlsplit(url).hostname not in _LOOPBACK
        self._client = openai.DefaultHttpxClient(trust_env=uses_proxies)
        self._asynchronous = openai.DefaultAsyncHttpxClient(trust_env=uses_proxies)
        self.embeddings = OpenAIEmbeddings(
            model=settings.embedding_model,
            base_url=url,
            api_key=settings.embedding_api_key or SecretStr(NO_KEY),
            dimensions=settings.embedding_dimensions,
            # Else it asks for a tokenizer in the network, and sends numbers instead of text.
            check_embedding_ctx_length=False,
            http_client=self._client,
            http_async_client=self._asynchronous,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        self._client.close()
        await self._asynchronous.aclose()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the client's errors into ours."""
        where = address(self._settings.embedding_base_url or "")
        key = self._settings.embedding_api_key
        secret = key.get_secret_value() if key else None
        try:
            yield
        except openai.APIStatusError as error:
            raise refused(error.response, where, time.time(), secret) from error
        except openai.APIConnectionError as error:
            cause = error.__cause__
            if not isinstance(cause, httpx2.TransportError):
                cause = httpx2.TransportError(str(error))
            raise unanswered(cause, where, secret) from error
        except openai.OpenAIError as error:
            raise EmbeddingReplyError(f"LangChain's client can't use {where}: {error}") from error
