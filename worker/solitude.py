"""Being alone in a process: for batches that workers have died of.

What is in hand when a process dies is suspected. Only a batch that had the process for
itself is convicted by that, and only then are the others known to be innocent.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Solitude:
    """Many may share the process, or one may have it alone; for one event loop.

    Whoever wants to be alone goes before newcomers, so that it gets its turn.
    """

    def __init__(self) -> None:
        """Begin with nobody there."""
        self._sharers = 0
        self._seekers = 0
        self._is_alone = False
        self._changed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Be there with others, once nobody is alone or waits to be."""
        while self._seekers:
            await self._changed.wait()
        self._sharers += 1
        try:
            yield
        finally:
            self._sharers -= 1
            self._wake()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Be there alone, once all others have left; never from inside ``shared``."""
        self._seekers += 1
        try:
            while self._sharers or self._is_alone:
                await self._changed.wait()
            self._is_alone = True
            try:
                yield
            finally:
                self._is_alone = False
        finally:
            self._seekers -= 1
            self._wake()

    def _wake(self) -> None:
        """Let all who wait look again; no await here, so that no cancellation comes between."""
        self._changed.set()
        self._changed = asyncio.Event()
