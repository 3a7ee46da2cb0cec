"""A cache whose trouble is nobody else's: what can't be read is missing, and it is told once."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from contract.errors import UsageError
from worker.embedding.vector_cache import VectorCache

CALL_SECONDS = 1.0
"""Longest time of one call; an embedding request seldom takes longer."""
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0

logger = logging.getLogger(__name__)

T = TypeVar("T")


class _Side:
    """Reading or writing: whether it works, and when it is tried again if it does not."""

    def __init__(self) -> None:
        self.trouble = ""
        self.closed_until = 0.0
        self._pause_seconds = FIRST_PAUSE_SECONDS

    def failed(self, trouble: str, began: float, now: float) -> None:
        self.trouble = trouble
        if began >= self.closed_until:  # calls that failed together count as one
            self.closed_until = now + self._pause_seconds
            self._pause_seconds = min(self._pause_seconds * 2, LONGEST_PAUSE_SECONDS)

    def worked(self) -> None:
        self.trouble = ""
        self._pause_seconds = FIRST_PAUSE_SECONDS


class ForgivingCache:
    """A cache in front of another that may be away, slow, full or broken.

    A call that fails is not repeated: for a while, longer each time, nothing is asked, so that
    a dead cache does not cost each batch a time-out.

    Args:
        cache: what is used; ``aclose`` closes it.
        now: a clock that does not jump, in seconds.
        call_seconds: longest time of one call.
    """

    def __init__(
        self,
        cache: VectorCache,
        now: Callable[[], float] = time.monotonic,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._cache = cache
        self._now = now
        self._call_seconds = call_seconds
        self._reading = _Side()
        self._writing = _Side()
        self._is_told = False

    async def check(self) -> None:
        """Look at the cache once.

        Raises:
            UsageError: it can never serve as one; says what to change.
        """
        await self._try(self._reading, self._cache.check, strict=True)

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """Give what can be had of the values, in the order of the keys."""
        if self._now() < self._reading.closed_until:
            return [None] * len(keys)
        values = await self._try(self._reading, lambda: self._cache.read(keys))
        return [None] * len(keys) if values is None else values

    async def write(self, values: Mapping[bytes, bytes]) -> None:
        """Keep values if that can be done."""
        if self._now() < max(self._reading.closed_until, self._writing.closed_until):
            return
        await self._try(self._writing, lambda: self._cache.write(values))

    async def aclose(self) -> None:
        """Close the cache."""
        await self._cache.aclose()

    async def _try(
        self, side: _Side, call: Callable[[], Awaitable[T]], *, strict: bool = False
    ) -> T | None:
        began = self._now()
        try:
            async with asyncio.timeout(self._call_seconds):
                result = await call()
        except TimeoutError:
            side.failed(f"no answer within {self._call_seconds:g} s", began, self._now())
        except Exception as error:  # whatever a cache raises, no batch may fail of it
            if strict and isinstance(error, UsageError):
                raise
            side.failed(str(error) or type(error).__name__, began, self._now())
        else:
            side.worked()
            self._tell()
            return result
        self._tell()
        return None

    def _tell(self) -> None:
        """Tell once that the cache is in trouble, and once that it is not any more."""
        trouble = self._reading.trouble or self._writing.trouble
        if bool(trouble) == self._is_told:
            return
        self._is_told = bool(trouble)
        if trouble:
            logger.warning(
                "embedding goes on without its cache",
                extra={"event": "embedding_cache_away", "error": trouble},
            )
        else:
            logger.warning("the embedding cache is back", extra={"event": "embedding_cache_back"})
