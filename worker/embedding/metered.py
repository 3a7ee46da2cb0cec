"""An embedder whose requests are counted and timed, by what was answered."""

import time
from collections.abc import Callable, Sequence
from enum import StrEnum

from contract.errors import (
    EmbeddingDeniedError,
    EmbeddingRefusedError,
    HeadraceError,
    ThrottledError,
    TimedOutError,
    TransientError,
)
from worker.embedding.embedded import Embedded
from worker.embedding.embedder import Embedder, ModelIdentity


class Code(StrEnum):
    """What was answered to a request."""

    WELL = "2xx"
    THROTTLED = "429"
    REFUSED = "4xx"
    BROKEN = "5xx"
    TIMEOUT = "timeout"
    ERROR = "error"
    """No connection, or a reply that can't be used."""


class MeteredEmbedder:
    """An :class:`Embedder` in front of another; who closes it closes that as well.

    Args:
        embedder: sends each call as one request.
        observe: told the code and the seconds of each request that was not cancelled.
        now: a clock that does not jump.
    """

    def __init__(
        self,
        embedder: Embedder,
        observe: Callable[[Code, float], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._embedder = embedder
        self._observe = observe
        self._now = now

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Embedded:
        """Embed texts, in order; raises what the embedder behind raises."""
        if not texts:
            return await self._embedder.embed(texts, urgent=urgent)  # which is no request
        begun = self._now()
        try:
            embedded = await self._embedder.embed(texts, urgent=urgent)
        except HeadraceError as error:
            self._observe(code_of(error), self._now() - begun)
            raise
        self._observe(Code.WELL, self._now() - begun)
        return embedded

    async def identify(self, held: ModelIdentity | None = None) -> ModelIdentity:
        """Tell which model this is; what that may ask of the endpoint is not counted."""
        return await self._embedder.identify(held)

    async def aclose(self) -> None:
        """Close the embedder behind."""
        await self._embedder.aclose()


def code_of(error: HeadraceError) -> Code:
    """Tell from an error what was answered."""
    if isinstance(error, ThrottledError):
        return Code.THROTTLED
    if isinstance(error, TimedOutError):
        return Code.TIMEOUT
    if isinstance(error, EmbeddingDeniedError | EmbeddingRefusedError):
        return Code.REFUSED
    status = error.status if isinstance(error, TransientError) else 0
    if status:
        return Code.BROKEN if status >= 500 else Code.REFUSED  # noqa: PLR2004 - HTTP's own
    return Code.ERROR
