"""A lease kept alive while a batch is worked on, and judged by the worker's own clock."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from redis.exceptions import RedisError

from contract.errors import LeaseLostError
from contract.ledger.ledger import Ledger
from contract.tasks import end

logger = logging.getLogger(__name__)

SAFETY = 0.8
"""Share of the lease in which a write may begin: the rest covers the write's own way."""


class Lease:
    """A hold on one batch; ``check`` right before every write."""

    def __init__(
        self,
        ledger: Ledger,
        batch_id: str,
        owner: str,
        seconds: float,
        begun: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with a lease just claimed.

        Args:
            ledger: where it was claimed.
            batch_id: the batch.
            owner: who claimed it.
            seconds: how long a lease lasts.
            begun: ``now()`` from before the claim was sent, so that this clock never
                believes in a lease longer than the ledger does.
            now: a clock that does not jump.
        """
        self.ledger = ledger
        self.batch_id = batch_id
        self.owner = owner
        self.seconds = seconds
        self._now = now
        self._until = begun + seconds * SAFETY
        self._lost = False
        self._let_go = False

    def check(self) -> None:
        """Make sure that the batch is still ours.

        Raises:
            LeaseLostError: it is not, or can't be known to be.
        """
        if self._lost or self._now() >= self._until:
            raise LeaseLostError(f"lease on batch {self.batch_id} is lost")

    def let_go(self) -> None:
        """Say that the batch is about to leave the ledger, and its lease with it."""
        self._let_go = True

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator["Lease"]:
        """Renew the lease every third of its length until the block ends.

        Raises:
            LeaseLostError: someone else has the batch; the block was cancelled for it.
        """
        worker = asyncio.current_task()
        assert worker is not None  # noqa: S101 - a coroutine runs in a task
        cancelled_before = worker.cancelling()
        keeper = asyncio.create_task(self._keep(worker), name=f"lease {self.batch_id}")
        try:
            yield self
        except asyncio.CancelledError:
            if self._lost and worker.uncancel() <= cancelled_before:
                raise LeaseLostError(f"lease on batch {self.batch_id} is lost") from None
            raise
        finally:
            self._let_go = True
            await end(keeper)

    async def _keep(self, worker: asyncio.Task[Any]) -> None:
        """Renew; whoever works on a batch that is not ours any more is cancelled, once."""
        while not self._lost:
            await asyncio.sleep(self.seconds / 3)
            begun = self._now()
            try:
                if await self.ledger.renew(self.batch_id, self.owner, self.seconds):
                    self._until = begun + self.seconds * SAFETY
                elif not self._let_go:
                    self._lost = True
                    worker.cancel()
            except RedisError as error:
                # The clock decides: without an answer the lease simply runs out.
                logger.warning(
                    "lease not renewed", extra={"event": "renew_failed", "error": str(error)}
                )
