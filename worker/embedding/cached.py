"""An embedder that pays for a text once, whichever document, source or collection it is in."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np

from contract.settings import Settings
from worker.embedding.cache_entry import CacheEntry, key_of, key_space, shares
from worker.embedding.embedded import Embedded
from worker.embedding.embedder import Embedder, ModelIdentity
from worker.embedding.forgiving_cache import CALL_SECONDS, ForgivingCache
from worker.embedding.redis_cache import RedisCache
from worker.embedding.vector_cache import VectorCache


class CachedEmbedder:
    """An :class:`Embedder` in front of another; for one event loop, by many tasks at once.

    Texts that two calls embed at the same moment are paid for twice: nobody waits for another.

    Args:
        embedder: makes the vectors that are not in the cache; the caller closes it.
        cache: keeps them; ``aclose`` closes it.
        origin: who makes them, where, and how: what the model's identity does not tell.
    """

    def __init__(self, embedder: Embedder, cache: ForgivingCache, origin: Sequence[str]) -> None:
        self._embedder = embedder
        self._cache = cache
        self._origin = origin

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Embedded:
        """Embed texts, in order; those in the cache cost nothing.

        A failure of the cache makes its texts miss.

        Raises:
            TransientError: a text is not in the cache, and the embedder raised it.
            PermanentError: likewise.
        """
        if not texts:
            return await self._embedder.embed(texts, urgent=urgent)
        model = await self._embedder.identify()
        space = key_space(self._origin, model)
        keys = {text: key_of(space, text) for text in texts}
        values = await self._cache.read(list(keys.values()))
        entries = {
            text: entry
            for text, value in zip(keys, values, strict=True)
            if (entry := CacheEntry.decode(value, model.dimension)) is not None
        }
        hits = frozenset(entries)
        missing = [text for text in keys if text not in hits]
        tokens: int | None = 0
        if missing:
            made = await self._embedder.embed(missing, urgent=urgent)
            tokens = made.tokens
            costs = shares(tokens or 0, missing)
            entries |= {
                text: CacheEntry(vector, cost)
                for text, vector, cost in zip(missing, made.vectors, costs, strict=True)
            }
            await self._cache.write({keys[text]: entries[text].encode() for text in missing})
        return Embedded(
            np.stack([entries[text].vector for text in texts]),
            tokens,
            hits=hits,
            misses=len(missing),
            tokens_saved=sum(entries[text].tokens for text in hits),
        )

    async def identify(self, held: ModelIdentity | None = None) -> ModelIdentity:
        """Tell which model this is."""
        return await self._embedder.identify(held)

    async def aclose(self) -> None:
        """Close the cache."""
        await self._cache.aclose()


async def with_cache(
    settings: Settings, embedder: Embedder, clients: contextlib.AsyncExitStack
) -> Embedder:
    """Put the cache that the settings name, if they do, in front of an embedder.

    Args:
        settings: all settings.
        embedder: makes the vectors; the caller closes it, after ``clients``.
        clients: takes the cache, to be closed.

    Raises:
        UsageError: what the settings name can't be a cache; says what to change.
    """
    cache = make_cache(settings)
    if cache is None:
        return embedder
    forgiving = ForgivingCache(cache)
    clients.push_async_callback(forgiving.aclose)
    await forgiving.check()
    return CachedEmbedder(embedder, forgiving, origin_of(settings))


def origin_of(settings: Settings) -> tuple[str, ...]:
    """Give whatever a vector hangs on beside model and text."""
    return (
        settings.embedding_provider,
        (settings.embedding_base_url or "").rstrip("/"),
        # A text that is cut, or refused, must not come back as it was under another rule.
        settings.overlong_chunks,
        str(settings.embedding_max_chunk_tokens),
    )


def make_cache(settings: Settings) -> VectorCache | None:
    """Make the cache that the settings name; nothing is opened yet. None if they name none."""
    url = settings.embedding_cache_url
    if url is None:
        return None
    parts = urlsplit(url.get_secret_value())
    if parts.scheme == "file":
        from worker.embedding.file_cache import FileCache  # noqa: PLC0415 - not every Python has SQLite

        return FileCache(Path(unquote(parts.path)), settings.embedding_cache_bytes)
    return RedisCache(url, CALL_SECONDS)
