"""Publishing: into the ledger first, then the message; and not too far ahead of the workers."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from celery import Celery

from contract.batch import Batch
from contract.ledger.ledger import Ledger
from contract.queue import announce

POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class HighWater:
    """How much may be unfinished in a collection before producers wait."""

    batches: int
    payload_bytes: int


class Publisher:
    """Publishes batches of one collection.

    Killed between the two steps, a batch stands in the ledger without a message; the sweeper
    announces it.
    """

    def __init__(self, ledger: Ledger, app: Celery, high_water: HighWater) -> None:
        """Use a ledger and an app that the caller closes."""
        self._ledger = ledger
        self._app = app
        self._high_water = high_water

    async def publish(self, batches: Sequence[Batch]) -> None:
        """Wait until there is room, write the batches down, and announce them.

        Raises:
            UnreachableError: the broker is away; the batches are safe in the ledger.
        """
        if not batches:
            return
        await self._wait_for_room()
        ids = await self._ledger.publish(batches)
        await asyncio.to_thread(announce, self._app, self._ledger.collection, ids)

    async def _wait_for_room(self) -> None:
        while True:
            totals = await self._ledger.totals()
            if (
                totals.batches < self._high_water.batches
                and totals.bytes < self._high_water.payload_bytes
            ):
                return
            await asyncio.sleep(POLL_SECONDS)
