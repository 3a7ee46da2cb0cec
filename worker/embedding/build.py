"""From settings to an embedder; what one provider needs is imported for that one alone."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from contract.errors import EmbeddingReplyError
from contract.settings import Settings
from contract.wordpiece import wordpiece
from worker.embedding.embedded import Embedded
from worker.embedding.embedder import Embedder, ModelIdentity
from worker.embedding.local import DIMENSIONS, MODEL, REVISION, LocalEmbeddings

LOCAL = "local"
OPENAI = "openai"
SPARE_CONNECTIONS = 2
"""Beyond the gate's limit: for an urgent request, and for a canary."""

Heed: TypeAlias = Callable[[Mapping[str, str]], None]


def ignore(headers: Mapping[str, str]) -> None:
    """Do nothing with headers."""


def provider_kind(settings: Settings) -> str:
    """Name the kind of embedder that the settings name, of three."""
    provider = settings.embedding_provider
    return provider if provider in (LOCAL, OPENAI) else "langchain"


def model_name(settings: Settings) -> str:
    """Name the model that the settings name, without revision."""
    names = {LOCAL: MODEL, OPENAI: settings.embedding_model}
    return names.get(settings.embedding_provider, settings.embedding_provider)


class LocalEmbedder:
    """The local model as an :class:`Embedder`."""

    def __init__(self, embeddings: LocalEmbeddings) -> None:
        """Take over the model; ``aclose`` closes it."""
        self._embeddings = embeddings

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Embedded:
        """Embed texts on the model's own threads, and count their tokens, equal ones once.

        Raises:
            EmbeddingRefusedError: the model reads less than one of the texts.
        """
        vectors = await self._embeddings.aembed_array(texts, urgent=urgent)
        return Embedded(vectors, await asyncio.to_thread(_tokens, texts))

    async def identify(self, held: ModelIdentity | None = None) -> ModelIdentity:  # noqa: ARG002
        """Tell which model this is."""
        return ModelIdentity(MODEL, REVISION, DIMENSIONS)

    async def aclose(self) -> None:
        """End the threads."""
        self._embeddings.close()


class Remote(Protocol):
    """A model that does not say who it is."""

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed texts, in order."""

    async def aclose(self) -> None:
        """Close connections."""


class RemoteEmbedder:
    """An embedder that learns its dimension by embedding one text."""

    def __init__(self, embedder: Remote, model: str, dimension: int | None) -> None:
        """Take over the embedder; ``aclose`` closes it."""
        self._embedder = embedder
        self._model = model
        self._dimension = dimension

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Embedded:  # noqa: ARG002 - nothing waits here
        """Embed texts, in order."""
        embedded = await self._embedder.embed(texts)
        length = embedded.vectors.shape[1]
        if texts and self._dimension is None:
            self._dimension = length
        if texts and length != self._dimension:
            raise EmbeddingReplyError(
                f"{self._model} gave vectors of {length} dimensions instead of {self._dimension}"
            )
        return embedded

    async def identify(self, held: ModelIdentity | None = None) -> ModelIdentity:
        """Tell which model this is; asks the endpoint if nothing else tells the dimension."""
        if self._dimension is None and held is not None and held.model == self._model:
            self._dimension = held.dimension
        if self._dimension is None:
            self._dimension = (await self.embed(["headrace"])).vectors.shape[1]
        return ModelIdentity(self._model, "", self._dimension)

    async def aclose(self) -> None:
        """Close connections."""
        await self._embedder.aclose()


def _tokens(texts: Sequence[str]) -> int:
    count = wordpiece().count
    return sum(map(count, set(texts)))


def make_embedder(settings: Settings, heed: Heed = ignore, *, cuts: bool = True) -> Embedder:
    """Make the embedder that the settings name; nothing is loaded or sent yet.

    Args:
        settings: name it.
        heed: told the headers of an endpoint's answers.
        cuts: whether the local model embeds the beginning of a text that is too long for it.

    Raises:
        UsageError: the import path of a LangChain ``Embeddings`` is wrong.
    """
    if settings.embedding_provider == LOCAL:
        embeddings = LocalEmbeddings(
            threads=settings.embedding_threads, model_folder=settings.model_folder, cuts=cuts
        )
        return LocalEmbedder(embeddings)
    if settings.embedding_provider == OPENAI:
        from worker.embedding.openai import OpenAIEmbedder  # noqa: PLC0415 - takes a while

        openai = OpenAIEmbedder(
            model=settings.embedding_model,
            base_url=settings.embedding_base_url,
            api_key=settings.embedding_api_key,
            dimensions=settings.embedding_dimensions,
            timeout_seconds=settings.embedding_timeout_seconds,
            max_connections=settings.embedding_concurrency + SPARE_CONNECTIONS,
            heed=heed,
        )
        return RemoteEmbedder(openai, settings.embedding_model, settings.embedding_dimensions)
    from worker.embedding.langchain import LangChainEmbedder  # noqa: PLC0415 - likewise

    custom = LangChainEmbedder(
        settings.embedding_provider,
        dimensions=settings.embedding_dimensions,
        timeout_seconds=settings.embedding_timeout_seconds,
    )
    return RemoteEmbedder(custom, settings.embedding_provider, settings.embedding_dimensions)
