"""An embedder for tests of the worker, that can be told to fail, wait, or look the other way."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import numpy as np

from contract.errors import EmbeddingRefusedError, TransientError
from worker.embedding.embedded import Embedded
from worker.embedding.embedder import ModelIdentity

POISON = "poison"
CURSED = "cursed"


class Mill:
    """Embeds a text as its length and some of its letters; refuses texts with ``poison``.

    Texts with ``cursed`` fail each time, in a way that might pass.
    """

    def __init__(self) -> None:
        """Work, with nothing in the way."""
        self.calls: list[list[str]] = []
        self.failures: list[TransientError] = []
        """Raised by the next calls, one each."""
        self.denial: TransientError | None = None
        """Raised by every call."""
        self.before: Callable[[], Awaitable[None]] | None = None
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Embedded:  # noqa: ARG002
        """Embed, unless something is in the way."""
        self.calls.append(list(texts))
        self.entered.set()
        if self.before is not None:
            before, self.before = self.before, None
            await before()
        await self.gate.wait()
        if self.denial is not None:
            raise self.denial
        if self.failures:
            raise self.failures.pop(0)
        if any(CURSED in text for text in texts):
            raise TransientError("a text does not get through")
        if any(POISON in text for text in texts):
            raise EmbeddingRefusedError("a text is refused")
        rows = [[len(text), *text.encode()[:3].ljust(3)] for text in texts]
        return Embedded(np.asarray(rows, np.float32).reshape(len(texts), 4), len(texts))

    @property
    def texts(self) -> list[str]:
        """All texts that were sent."""
        return [text for call in self.calls for text in call]

    async def identify(self, held: ModelIdentity | None = None) -> ModelIdentity:  # noqa: ARG002
        """Be a model of 4 dimensions."""
        return ModelIdentity("mill", "", 4)

    async def aclose(self) -> None:
        """Hold nothing."""
