"""Searches of many callers at once, which share requests to the model and to Milvus."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from contract.errors import EmbeddingRefusedError, HeadraceError
from contract.settings import Settings
from headrace.search import Hit, Terms, as_wrong_use, find, require_fit
from worker.embedding.embedder import Embedder
from worker.milvus import open_connection, quiet_libraries

IN_FLIGHT = 4
"""Shared requests at the same time; what arrives while so many are out goes with the next."""


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """One search that somebody waits for."""

    query: str
    terms: Terms
    hits: asyncio.Future[list[Hit]]


class Searcher:
    """Searches on one connection; for one event loop, by any number of tasks at once.

    Nothing waits for company: a search leaves at once, unless ``IN_FLIGHT`` requests are out.
    Those that arrive at the same time, or meanwhile, are embedded by one request (of at most
    ``batch_max_chunks`` texts, each once), and those with the same terms are one search for
    Milvus.
    """

    def __init__(self, settings: Settings, embedder: Embedder) -> None:
        """Connect to nothing yet; the caller closes the embedder, after this."""
        quiet_libraries()
        self._settings = settings
        self._embedder = embedder
        self._connection = open_connection(settings)
        self._waiting: deque[_Asked] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    async def search(self, query: str, terms: Terms) -> list[Hit]:
        """Find the chunks nearest to a text, each text once, best first.

        Raises:
            UsageError: there is no such collection, it holds another model's vectors, the
                filter is wrong, or the embedding endpoint refuses the key, the model or this
                text. Of refused texts, others that share the request hear nothing.
            TransientError: Milvus or the embedding endpoint does not answer.
        """
        (hits,) = await self.search_many([query], terms)
        return hits

    async def search_many(self, queries: Sequence[str], terms: Terms) -> list[list[Hit]]:
        """Find the chunks nearest to each of some texts; hits for each, in their order.

        Raises:
            UsageError: as in :meth:`search`, for any of them.
            TransientError: Milvus or the embedding endpoint does not answer.
        """
        asked = [self._ask(query, terms) for query in queries]
        return list(await asyncio.gather(*asked))

    async def aclose(self) -> None:
        """Cancel what is on its way, and close the connection."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for asked in self._waiting:
            asked.hits.cancel()
        await self._connection.aclose()

    def _ask(self, query: str, terms: Terms) -> asyncio.Future[list[Hit]]:
        hits: asyncio.Future[list[Hit]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Asked(query, terms, hits))
        if len(self._tasks) < IN_FLIGHT:
            self._tasks.add(asyncio.create_task(self._work()))
        return hits

    async def _work(self) -> None:
        """Answer until nobody waits; begins after all that arrived with the first are there."""
        try:
            while together := self._take():
                try:
                    await self._answer(together)
                except Exception as error:  # noqa: BLE001 - whoever waits is to know, whatever it is
                    _refuse(together, error)
                finally:
                    for asked in together:
                        asked.hits.cancel()  # no effect on those that are answered
        finally:
            # Here, not when the task is done: what arrives in between would wait for nobody.
            self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    def _take(self) -> list[_Asked]:
        """Take those who have waited longest and still do."""
        together: list[_Asked] = []
        while self._waiting and len(together) < self._settings.batch_max_chunks:
            asked = self._waiting.popleft()
            if not asked.hits.done():
                together.append(asked)
        return together

    async def _answer(self, together: Sequence[_Asked]) -> None:
        fitting = await self._fitting(together)
        vectors = await self._embed(fitting)
        by_terms: dict[Terms, list[_Asked]] = {}
        for asked in fitting:
            if asked.query in vectors:
                by_terms.setdefault(asked.terms, []).append(asked)
        await asyncio.gather(
            *(self._find(terms, some, vectors) for terms, some in by_terms.items())
        )

    async def _fitting(self, together: Sequence[_Asked]) -> list[_Asked]:
        """Give those whose collection can be searched; the others are told why not."""
        by_collection: dict[str, list[_Asked]] = {}
        for asked in together:
            by_collection.setdefault(asked.terms.collection, []).append(asked)
        fitting: list[_Asked] = []
        for collection, some in by_collection.items():
            try:
                async with self._connection.used() as client:
                    with as_wrong_use():
                        await require_fit(client, self._settings, self._embedder, collection)
            except HeadraceError as error:
                _refuse(some, error)
            else:
                fitting += some
        return fitting

    async def _embed(self, some: Sequence[_Asked]) -> dict[str, NDArray[np.float32]]:
        """Embed each text once; those that are refused are told so, and left out.

        Which of them is to blame is found by halving, as in batches of documents.
        """
        texts = list(dict.fromkeys(asked.query for asked in some))
        if not texts:
            return {}
        try:
            with as_wrong_use():
                try:
                    embedded = await self._embedder.embed(texts)
                except EmbeddingRefusedError:
                    if len(texts) == 1:
                        raise
                    half = set(texts[: len(texts) // 2])
                    return {
                        **await self._embed([asked for asked in some if asked.query in half]),
                        **await self._embed([asked for asked in some if asked.query not in half]),
                    }
        except HeadraceError as error:
            _refuse(some, error)
            return {}
        return dict(zip(texts, embedded.vectors, strict=True))

    async def _find(
        self,
        terms: Terms,
        some: Sequence[_Asked],
        vectors: Mapping[str, NDArray[np.float32]],
    ) -> None:
        try:
            stacked = np.stack([vectors[asked.query] for asked in some])
            async with self._connection.used() as client:
                with as_wrong_use():
                    found = await find(client, self._settings, stacked, terms)
        except HeadraceError as error:
            _refuse(some, error)
            return
        for asked, hits in zip(some, found, strict=True):
            if not asked.hits.done():
                asked.hits.set_result(hits)


def _refuse(some: Sequence[_Asked], error: Exception) -> None:
    for asked in some:
        if not asked.hits.done():
            asked.hits.set_exception(error)
