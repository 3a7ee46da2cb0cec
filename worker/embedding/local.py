"""Embeddings by a model on this machine: no key, no network, no torch."""

import asyncio
import logging
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from contract.errors import EmbeddingRefusedError, UsageError
from contract.wordpiece import wordpiece
from worker.embedding import graph
from worker.embedding.fused import fused_model_path
from worker.embedding.priority_threads import PriorityThreads

MODEL: Final = graph.MODEL
REVISION: Final = graph.WEIGHTS_SHA256[:12]
"""The weights' digest: the same for the fused graph, which holds the same weights."""
DIMENSIONS: Final = graph.DIMENSIONS
MAX_TOKENS: Final = 256
"""What the model was made for, [CLS] and [SEP] among them; what follows is not embedded."""

logger = logging.getLogger(__name__)


def default_model_folder() -> Path:
    """Give headrace's folder in the user's cache: $XDG_CACHE_HOME or ~/.cache."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification: a relative path is invalid and to be ignored.
    return (Path(cache) if Path(cache).is_absolute() else Path.home() / ".cache") / "headrace"


class LocalEmbeddings(Embeddings):
    """all-MiniLM-L6-v2 on threads of its own; vectors of 384 numbers and length 1.

    One text a run, unpadded: on a CPU that is faster than batches. Safe to share between threads
    and event loops. To be used, first, after a fork; whoever makes it closes it.

    Attributes:
        truncated_texts: how many of the texts embedded so far were longer than MAX_TOKENS.
    """

    def __init__(
        self, threads: int = 2, model_folder: Path | None = None, *, cuts: bool = True
    ) -> None:
        """Start nothing yet: the model is loaded by the first call or by ``warm_up``.

        Args:
            threads: how many texts are embedded at once; one core each.
            model_folder: where the fused graph is kept; ``default_model_folder()`` if None.
            cuts: whether of a text that is too long the beginning is embedded.
        """
        self.truncated_texts = 0
        self._model_folder = model_folder
        self._cuts = cuts
        self._threads = PriorityThreads(self._embed, threads, "local-embedding")
        self._lock = threading.Lock()
        self._graph: graph.Graph | None = None

    def warm_up(self) -> None:
        """Load the model; blocks for some 0.2 s, or 1 s where the fused graph is built first.

        Raises:
            UsageError: the model is not installed, not the pinned one, or can't be loaded.
        """
        self._loaded()

    def close(self) -> None:
        """Drop the texts that wait (their callers see a cancellation), and end the threads."""
        self._threads.close()

    async def aembed_array(
        self, texts: Sequence[str], *, urgent: bool = False
    ) -> NDArray[np.float32]:
        """Embed the texts, equal ones once, on this object's threads.

        Cancelled, it drops the texts that wait; at most one a thread is still computed.

        Args:
            texts: any number.
            urgent: whether they go before those of others that wait.

        Returns:
            Shape (n, 384), in the order of the texts.

        Raises:
            UsageError: the model can't be loaded.
            EmbeddingReplyError: the model fails on a text.
            EmbeddingRefusedError: a text is too long, and not to be cut.
        """
        unique = list(dict.fromkeys(texts))
        futures = self._submit(unique, urgent=urgent)
        try:
            vectors = await asyncio.gather(*map(asyncio.wrap_future, futures))
        finally:
            _cancel(futures)
        return _rows(texts, unique, vectors)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed as ``aembed_array`` does, as lists."""
        return _lists(await self.aembed_array(texts))

    async def aembed_query(self, text: str) -> list[float]:
        """Embed one text; queries and documents are treated alike."""
        return (await self.aembed_documents([text]))[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed as ``aembed_documents`` does, but block; not for an event loop's thread."""
        unique = list(dict.fromkeys(texts))
        futures = self._submit(unique)
        try:
            vectors = [future.result() for future in futures]
        finally:
            _cancel(futures)
        return _lists(_rows(texts, unique, vectors))

    def embed_query(self, text: str) -> list[float]:
        """Embed one text, and block."""
        return self.embed_documents([text])[0]

    def _submit(
        self, texts: list[str], *, urgent: bool = False
    ) -> list[Future[NDArray[np.float32]]]:
        return [self._threads.submit(text, urgent=urgent) for text in texts]

    def _embed(self, text: str) -> NDArray[np.float32]:
        """Embed one text on the calling thread."""
        loaded = self._loaded()
        # One more than allowed, only to see whether there is more.
        ids = wordpiece().encode(text, MAX_TOKENS + 1)
        if len(ids) > MAX_TOKENS:
            if not self._cuts:
                raise EmbeddingRefusedError(
                    f"a chunk has more than the {MAX_TOKENS - 2} tokens that the local model "
                    "reads: make chunk_size smaller, or set HEADRACE_OVERLONG_CHUNKS=cut"
                )
            ids = [*ids[: MAX_TOKENS - 1], ids[-1]]
            with self._lock:
                self.truncated_texts += 1
        return loaded.embed(ids)

    def _loaded(self) -> graph.Graph:
        with self._lock:
            if self._graph is None:
                self._graph = _load(self._model_folder or default_model_folder())
            return self._graph


def _load(folder: Path) -> graph.Graph:
    """Load the fused graph, or else the one that was shipped."""
    fused = fused_model_path(folder)
    if fused is not None:
        try:
            return graph.Graph(fused)
        except UsageError as error:
            logger.warning(
                "the fused graph can't be loaded: the local model runs as shipped",
                extra={"path": str(fused), "error": str(error)},
            )
    return graph.Graph(graph.shipped_model_path())


def _rows(
    texts: Sequence[str], unique: list[str], vectors: list[NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Give each text the vector of its equal."""
    if not texts:
        return np.empty((0, DIMENSIONS), dtype=np.float32)
    row_of = {text: row for row, text in enumerate(unique)}
    return np.stack(vectors)[[row_of[text] for text in texts]]


def _lists(vectors: NDArray[np.float32]) -> list[list[float]]:
    lists: list[list[float]] = vectors.tolist()
    return lists


def _cancel(futures: list[Future[NDArray[np.float32]]]) -> None:
    """Take back what has not begun; done ones don't mind."""
    for future in futures:
        future.cancel()
