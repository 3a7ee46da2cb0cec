"""Looks whether what was written can be found, for the time until documents are searchable.

A sample of the batches that are through is read back by primary key, with the consistency of
``headrace search``, as often as it takes. In the background: no batch waits for it or fails by it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from redis.exceptions import RedisError

from contract.batch import Batch
from contract.errors import HeadraceError
from contract.ids import chunk_ids
from contract.lane import Lane
from contract.ledger.ledger import Ledger
from contract.tasks import end
from worker.freshness_metrics import Sight
from worker.outcome import Ingested
from worker.store import Store

INTERVAL_SECONDS: Final = 1.0
"""Between two batches that are looked for, in one process."""
MOST_AT_ONCE: Final = 4
ROWS: Final = 3
"""Of one batch that are looked for: of its first, its middle and its last part."""
PATIENCE_SECONDS: Final = 60.0
"""After which rows that were not seen count as unseen."""
FIRST_AGAIN_SECONDS: Final = 0.05
LONGEST_AGAIN_SECONDS: Final = 1.0

logger = logging.getLogger(__name__)


class Probe:
    """Looks for samples of batches; for one event loop.

    Args:
        store_of: collection -> its store.
        observe: told what was seen of a sample, its lane, and the batch's age by then, in seconds.
        now: a clock that does not jump.
        patience_seconds: after which rows count as unseen.
    """

    def __init__(
        self,
        store_of: Callable[[str], Awaitable[Store]],
        observe: Callable[[Sight, Lane, float], None],
        now: Callable[[], float] = time.monotonic,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._store_of = store_of
        self._observe = observe
        self._now = now
        self._patience_seconds = patience_seconds
        self._next = now()
        self._looks: set[asyncio.Task[None]] = set()

    def offer(self, ledger: Ledger, batch: Batch, ingested: Ingested) -> None:
        """Look for a batch that has just ended, if it is time for one; never waits or raises.

        Args:
            ledger: tells whether its versions are still wanted.
            batch: what it held.
            ingested: how it ended; one that is not through, or of unknown age, is passed over.
        """
        age_seconds, now = ingested.age_seconds, self._now()
        if age_seconds is None or now < self._next or len(self._looks) >= MOST_AT_ONCE:
            return
        # The rows of dead parts were not written.
        sample = {} if ingested.dead else _sample(batch)
        if not sample:
            return
        self._next = now + INTERVAL_SECONDS
        look = asyncio.create_task(
            self._look(ledger, batch.lane, sample, now - age_seconds), name=f"probe {batch.id}"
        )
        self._looks.add(look)
        look.add_done_callback(self._looks.discard)

    async def aclose(self) -> None:
        """Give up what is looked for."""
        await asyncio.gather(*map(end, tuple(self._looks)))

    async def _look(
        self, ledger: Ledger, lane: Lane, sample: dict[str, tuple[str, int]], published: float
    ) -> None:
        """Look until all rows are seen that are still wanted.

        Args:
            ledger: tells which are.
            lane: of the batch.
            sample: row id -> document and version.
            published: when, by the clock of this object.
        """
        try:
            sight = await self._seen(ledger, sample)
        except (HeadraceError, RedisError) as error:
            logger.info("probe failed", extra={"event": "probe_failed", "error": str(error)})
            sight = Sight.FAILED
        except Exception:
            logger.exception("probe failed", extra={"event": "probe_failed"})
            sight = Sight.FAILED
        if sight is not None:
            self._observe(sight, lane, self._now() - published)

    async def _seen(self, ledger: Ledger, sample: dict[str, tuple[str, int]]) -> Sight | None:
        """Tell how it ended; None when nothing of the sample is wanted any more."""
        give_up_at = self._now() + self._patience_seconds
        again_seconds = FIRST_AGAIN_SECONDS
        store = await self._store_of(ledger.collection)
        while True:
            found = await store.read(list(sample), vectors=False)
            if found.keys() >= sample.keys():
                return Sight.VISIBLE
            # What takes the place of a version deletes its rows: these will never be seen.
            documents = [document for document, _ in sample.values()]
            standing = await ledger.standing(documents)
            sample = {
                row: (document, version)
                for (row, (document, version)), stands in zip(sample.items(), standing, strict=True)
                if stands.wants(version)
            }
            if not sample:
                return None
            if self._now() >= give_up_at:
                return Sight.UNSEEN
            await asyncio.sleep(again_seconds)
            again_seconds = min(again_seconds * 2, LONGEST_AGAIN_SECONDS)


def _sample(batch: Batch) -> dict[str, tuple[str, int]]:
    """Choose rows of a batch, each with its document and version."""
    parts = [part for part in batch.parts if part.chunks]
    if not parts:
        return {}
    last = len(parts) - 1
    sample = {}
    for place in sorted({last * n // max(ROWS - 1, 1) for n in range(ROWS)}):
        part = parts[place]
        (row,) = chunk_ids(part.document_id, part.version, part.ordinals[-1:])
        sample[row] = (part.document_id, part.version)
    return sample
