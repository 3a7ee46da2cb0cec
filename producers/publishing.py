"""Publishing: into the ledger first, then the message; and not too far ahead of the workers."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from celery import Celery
from msgspec.structs import replace
from opentelemetry.trace import SpanKind

from contract.batch import Batch
from contract.errors import UnreachableError
from contract.lane import Lane
from contract.ledger.ledger import Ledger
from contract.queue import announce
from contract.settings import Settings
from contract.tracing import begun_trace, carried
from producers.document_traces import DocumentTraces

POLL_SECONDS = 0.1
LIVE_MARGIN = 4
"""Live batches may exceed the mark by a quarter: else a job that waits there keeps them out."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HighWater:
    """How much may be unfinished in a collection before producers wait."""

    batches: int
    payload_bytes: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Give what settings say."""
        return cls(settings.max_unfinished_batches, settings.max_unfinished_bytes)

    def for_lane(self, lane: Lane) -> Self:
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

    def __init__(
        self,
        ledger: Ledger,
        app: Celery,
        high_water: HighWater,
        traces: DocumentTraces | None = None,
    ) -> None:
        """Use a ledger and an app that the caller closes.

        Args:
            ledger: takes the batches.
            app: announces them.
            high_water: how much may be unfinished.
            traces: know which spans drafted the documents; None: nobody traces that.
        """
        self._traces = traces or DocumentTraces()
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
        await self._wait_for_room(self._high_water.for_lane(lane))
        with contextlib.ExitStack() as spans:
            traced = [self._traced(batch, spans) for batch in batches]
            ids = await self._ledger.publish(traced)
            await self._announce(ids, lane)

    def _traced(self, batch: Batch, spans: contextlib.ExitStack) -> Batch:
        """Begin the trace of a batch, which its payload carries to the worker."""
        span = spans.enter_context(
            begun_trace(
                "publish",
                self._traces.of(batch),
                SpanKind.PRODUCER,
                job=batch.job,
                batch=batch.id,
                collection=batch.collection,
                lane=batch.lane.value,
                chunks=batch.chunk_count,
            )
        )
        trace = carried(span)
        return replace(batch, trace=trace) if trace else batch

    async def _announce(self, ids: Sequence[str], lane: Lane) -> None:
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
