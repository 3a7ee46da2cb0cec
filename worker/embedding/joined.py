"""The way to an embedding endpoint that all batches of a process share.

Texts of concurrent batches travel together, in requests that the endpoint takes; as many at once
as it bears, and no more in a minute than all workers together may send.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from contract.errors import ThrottledError
from worker.coalescing import Coalescer, Departure, Joining
from worker.concurrency import Gate
from worker.embedding.bounds import Bounds, requests, utf8_bytes
from worker.embedding.budget import Budget
from worker.embedding.embedded import Embedded
from worker.embedding.embedder import Embedder, ModelIdentity
from worker.embedding.overlong import Overlong

BYTES_PER_TOKEN = 4.0
"""Of English text; what the endpoint counts corrects it."""
SMOOTHING = 0.2


@dataclass(frozen=True, slots=True)
class Manners:
    """How an endpoint is to be treated."""

    bounds: Bounds
    overlong: Overlong
    joining: Joining


class JoinedEmbedder:
    """An :class:`Embedder` in front of another; for one event loop, by many tasks at once.

    Args:
        embedder: sends requests; ``aclose`` closes it.
        manners: how large requests are.
        gate: how many there are at once.
        budget: how many there are in a minute.
        observe: told of each request that leaves.
    """

    def __init__(
        self,
        embedder: Embedder,
        manners: Manners,
        gate: Gate,
        budget: Budget,
        observe: Callable[[Departure], None] = lambda _: None,
    ) -> None:
        self._embedder = embedder
        self._manners = manners
        self._budget = budget
        self._bytes_per_token = BYTES_PER_TOKEN
        self._lanes = {
            urgent: Coalescer(
                partial(self._send, urgent=urgent),
                manners.joining,
                gate,
                urgent=urgent,
                observe=observe,
            )
            for urgent in (True, False)
        }

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Embedded:
        """Embed texts, in order, in as few requests as the endpoint allows.

        Tokens are those that the endpoint tells, or else those that are counted here.

        Raises:
            EmbeddingRefusedError: a text is too long, or the endpoint refuses it.
            TransientError: a request failed.
        """
        bounds, overlong = self._manners.bounds, self._manners.overlong
        tokens = min(bounds.tokens, self._budget.most_tokens)
        fitted = overlong.fitted(texts)
        parts = list(
            requests(fitted, Bounds(bounds.inputs, tokens, bounds.bytes), overlong.counter.count)
        )
        if not parts:
            return await self._embedder.embed(texts)
        lane = self._lanes[urgent]
        if len(parts) == 1:
            return await lane.call(parts[0], _size(parts[0]))
        try:
            async with asyncio.TaskGroup() as group:
                calls = [group.create_task(lane.call(part, _size(part))) for part in parts]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return Embedded.joined([call.result() for call in calls])

    async def identify(self, held: ModelIdentity | None = None) -> ModelIdentity:
        """Tell which model this is."""
        return await self._embedder.identify(held)

    async def aclose(self) -> None:
        """Close the embedder behind."""
        await self._embedder.aclose()

    async def _send(self, texts: Sequence[str], *, urgent: bool) -> Embedded:
        size = _size(texts)
        async with self._budget.reserved(size / self._bytes_per_token, urgent=urgent) as reserved:
            try:
                embedded = await self._embedder.embed(texts)
            except ThrottledError as error:
                await self._budget.refused(error.retry_after_seconds)
                raise
            if embedded.tokens is None:
                count = self._manners.overlong.counter.count
                return dataclasses.replace(embedded, tokens=sum(map(count, texts)))
            if embedded.tokens:
                reserved.used = embedded.tokens
                seen = size / embedded.tokens
                self._bytes_per_token += (seen - self._bytes_per_token) * SMOOTHING
        return embedded


def _size(texts: Sequence[str]) -> int:
    return sum(map(utf8_bytes, texts))
