"""Publishing: into the ledger first, then the message; and not too far ahead of the workers."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from celery import Celery

from contract.batch import Batch
from contract.errors import UnreachableError
from contract.lane import Lane
from contract.ledger.ledger import Ledger
from contract.queue import announce

POLL_SECONDS = 0.1
LIVE_MARGIN = 4
"""Live batches may exceed the mark by a quarter: else a job that waits there keeps them out."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HighWater:
    """How much may be unfinished in a collection before producers wait."""

    batches: int
    payload_bytes: int

    def of(self, lane: Lane) -> Self:
        """Give the mark for the batches of one lane."""
        if lane is not Lane.LIVE:
            return self
        return type(self)(
            self.batches + self.batches // LIVE_MARGIN,
            self.payload_bytes + self.payload_bytes // LIVE_MARGIN,
        )


class Publisher:
    """Publishes batches of one collection.

    Killed between the two steps, a batch stands in the ledger without a message; the sweeper
    announces it. So it does when the broker is away, or full, between the two.
    """

    def __init__(self, ledger: Ledger, app: Celery, high_water: HighWater) -> None:
        """Use a ledger and an app that the caller closes."""
        self._ledger = ledger
        self._app = app
        self._high_water = high_water
        self._is_broker_away = False

    async def publish(self, batches: Sequence[Batch]) -> None:
        """Wait until there is room, write the batches down, and announce them.

        Raises:
            RedisError: the ledger is away, or has no room, for longer than its client waits.
        """
        for lane in Lane:
            some = [batch for batch in batches if batch.lane is lane]
            if some:
                await self._publish(some, lane)

    async def _publish(self, batches: Sequence[Batch], lane: Lane) -> None:
        await self._wait_for_room(self._high_water.of(lane))
        ids = await self._ledger.publish(batches)
        try:
            await asyncio.to_thread(announce, self._app, self._ledger.collection, ids, lane)
        except UnreachableError as error:
            self._tell(str(error))
        else:
            self._tell("")

    def _tell(self, trouble: str) -> None:
        """Tell once that the broker is away, and once that it is back."""
        if bool(trouble) == self._is_broker_away:
            return
        self._is_broker_away = bool(trouble)
        if trouble:
            logger.warning(
                "not announced: the sweeper will do it",
                extra={"event": "announce_failed", "error": trouble},
            )
        else:
            logger.warning("announcing again", extra={"event": "announce_resumed"})

    async def _wait_for_room(self, mark: HighWater) -> None:
        while True:
            totals = await self._ledger.totals()
            if totals.batches < mark.batches and totals.bytes < mark.payload_bytes:
                return
            await asyncio.sleep(POLL_SECONDS)
