"""Batches in a worker's hands: claimed, kept, given back, put aside, or run alone."""

import asyncio
import contextlib
import dataclasses
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from opentelemetry.trace import SpanKind
from redis.exceptions import RedisError

from contract.batch import decode
from contract.errors import (
    BatchDecodeError,
    CollectionGoneError,
    LeaseLostError,
    ThrottledError,
    TransientError,
    UnreachableError,
    UsageError,
)
from contract.lane import Lane
from contract.ledger.connection import text
from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import Claim, ClaimState
from contract.log_context import bound
from contract.tasks import end
from contract.tracing import span
from worker.calls import Calls
from worker.dead_letters import said
from worker.embedding.embedder import Embedder
from worker.isolation import halves
from worker.lease import Lease
from worker.outcome import HALTED, Ingested, Outcome, Stopwatch
from worker.probe import Probe
from worker.retrier import Retrier
from worker.solitude import Solitude
from worker.store import Store
from worker.work import Tools, Work

SUSPECT_CRASHES = 3
"""Workers that fell silent with a batch in hand, after which it is run alone."""
BLAMELESS_REST_SECONDS = 5.0
"""For a batch that could not even be begun, or needs someone to mend the configuration."""
UNREADABLE_REST_SECONDS = 30.0
"""For a batch of another format: a newer worker may come along."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take."""

    lease_seconds: float
    batch_timeout_seconds: float
    """For one attempt at one stage of a batch; waiting for an outage to end has no limit."""


@dataclass(frozen=True, slots=True)
class _Flight:
    collection: str
    job: str
    task: asyncio.Task[Ingested]


class Ingester:
    """Ingests batches; one object a process, used by many tasks at once."""

    def __init__(  # noqa: PLR0913 - all named, for the composition root
        self,
        *,
        worker_id: str,
        ledger_of: Callable[[str], Ledger],
        store_of: Callable[[str], Awaitable[Store]],
        embedder: Embedder,
        retrier: Retrier,
        limits: Limits,
        solitude: Solitude,
        app_announce: Callable[[str, Sequence[str], Lane], Awaitable[None]],
        probe: Probe | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Be handed everything that reaches outside; the caller closes it.

        Args:
            worker_id: begins the owner of every lease of this process.
            ledger_of: collection -> its ledger.
            store_of: collection -> its store, made when it is first asked for.
            embedder: the model.
            retrier: retries calls, and waits out outages.
            limits: leases and time-outs.
            solitude: of this process.
            app_announce: (collection, batch ids, lane) -> tells the workers of batches.
            probe: looks whether what was written is seen; None: nobody looks.
            now: a clock that does not jump.
        """
        self.worker_id = worker_id
        self._ledger_of = ledger_of
        self._tools = Tools(store_of, embedder)
        self._retrier = retrier
        self._limits = limits
        self._solitude = solitude
        self._announce = app_announce
        self._probe = probe
        self._now = now
        self._numbers = itertools.count()
        self._flights: dict[str, _Flight] = {}  # by owner

    def jobs_in_flight(self) -> set[tuple[str, str]]:
        """Name collection and job of all batches that are in hand."""
        return {(flight.collection, flight.job) for flight in self._flights.values()}

    def cancel(self, collection: str, job: str) -> None:
        """Let go of all batches of a halted job, without counting it as a failure.

        May be called again for those that did not obey.
        """
        for flight in self._flights.values():
            if (flight.collection, flight.job) == (collection, job):
                flight.task.cancel()

    async def ingest(self, collection: str, batch_id: str) -> Ingested:
        """Bring one batch to its end, or give it back; while a server is away, wait.

        Raises:
            RedisError: the ledger does not answer; a lease, if there is one, runs out.
        """
        await self._retrier.ready()
        ledger = self._ledger_of(collection)
        owner = f"{self.worker_id}{next(self._numbers)}"
        try:
            return await self._claim(ledger, batch_id, owner)
        except asyncio.CancelledError:
            # Also for a claim whose answer was still on its way.
            await asyncio.shield(ledger.release(batch_id, owner))
            raise

    async def _claim(self, ledger: Ledger, batch_id: str, owner: str) -> Ingested:
        async with contextlib.AsyncExitStack() as company:
            # Before the claim: who is claimed may be suspected, if someone alone kills us all.
            await company.enter_async_context(self._solitude.shared())
            begun = self._now()
            claim = await ledger.claim(batch_id, owner, self._limits.lease_seconds)
            if claim.state is not ClaimState.CLAIMED:
                return Ingested(Outcome.DROPPED, reason=claim.state.value)
            if claim.crashes >= SUSPECT_CRASHES:
                await company.aclose()
            try:
                batch = decode(claim.payload)
            except BatchDecodeError as error:
                return await self._give_up_reading(ledger, claim, error)
            watch = Stopwatch(self._now, claim.age_ms)
            timeout_seconds = self._limits.batch_timeout_seconds
            calls = Calls(self._retrier, watch, timeout_seconds, claim.attempts)
            lease = Lease(ledger, batch_id, owner, self._limits.lease_seconds, begun, self._now)
            ingested = await self._fly(Work(self._tools, calls, ledger, claim, batch, lease))
            if self._probe is not None:
                self._probe.offer(ledger, batch, ingested)
            return ingested

    async def _fly(self, work: Work) -> Ingested:
        """Work in a task of its own, which ``cancel`` can end without ending the caller's."""
        owner, collection, job = work.claim.owner, work.ledger.collection, work.batch.job
        task = asyncio.create_task(self._carry(work), name=f"batch {work.claim.batch_id}")
        self._flights[owner] = _Flight(collection, job, task)
        try:
            await asyncio.wait([task])
        finally:
            del self._flights[owner]
            await end(task)
        if not task.cancelled():
            return task.result()
        await work.ledger.release(work.claim.batch_id, owner)  # which knows what a halt means
        return work.ended(Outcome.DROPPED, HALTED)

    async def _carry(self, work: Work) -> Ingested:
        batch, claim = work.batch, work.claim
        ids = {"job": batch.job, "batch": claim.batch_id, "collection": batch.collection}
        with (
            bound(**ids),
            span(
                "ingest",
                batch.trace,
                SpanKind.CONSUMER,
                lane=batch.lane.value,
                chunks=batch.chunk_count,
                attempts=claim.attempts,
                crashes=claim.crashes,
                **ids,
            ) as current,
        ):
            ingested = await self._carried(work)
            current.set_attribute("headrace.outcome", ingested.outcome.value)
            return ingested

    async def _carried(self, work: Work) -> Ingested:
        try:
            async with work.lease.kept():
                if work.claim.crashes < SUSPECT_CRASHES:
                    return await work.run()
                return await self._carry_suspect(work)
        except LeaseLostError:
            return work.ended(Outcome.LOST, "lease")
        except RedisError:
            raise  # the ledger is away: there is nobody to give the batch back to
        except Exception as error:  # noqa: BLE001 - one batch must not end the worker
            return await self._give_back(work, error)

    async def _carry_suspect(self, work: Work) -> Ingested:
        """Run a batch alone that workers have died of, or halve it if that is known by now."""
        claim, batch, ledger = work.claim, work.batch, work.ledger
        context = {"batch": claim.batch_id, "crashes": claim.crashes}
        if claim.alone_crashes and sum(part.units for part in batch.parts) > 1:
            pieces = halves(batch)
            work.lease.let_go()
            if not await ledger.split(claim.batch_id, claim.owner, batch, pieces):
                raise LeaseLostError(f"lease on batch {claim.batch_id} is lost")
            logger.warning("batch halved", extra={"event": "batch_halved", **context})
            with contextlib.suppress(UnreachableError):  # else the sweeper announces them
                ids = [piece.id for piece in pieces]
                await self._announce(ledger.collection, ids, batch.lane)
            return work.ended(Outcome.SPLIT, isolated=True)
        async with self._solitude.alone():
            logger.warning("batch run alone", extra={"event": "batch_alone", **context})
            if not await ledger.mark_alone(claim.batch_id, claim.owner):
                raise LeaseLostError(f"lease on batch {claim.batch_id} is lost")
            return dataclasses.replace(await work.run(), isolated=True)

    async def _give_back(self, work: Work, error: Exception) -> Ingested:
        """Let the batch rest and be tried again, by whoever is there then."""
        claim = work.claim
        if not isinstance(error, TransientError | UsageError):
            logger.error("batch failed", exc_info=error, extra={"event": "batch_failed"})
        transient = error if isinstance(error, TransientError) else TransientError(said(error))
        rest = self._retrier.policy.rest_seconds(transient, claim.attempts)
        failed = work.is_under_way and not isinstance(error, UsageError)
        if not failed:
            rest = max(rest, BLAMELESS_REST_SECONDS)
        if isinstance(error, ThrottledError | CollectionGoneError):
            failed = False
        await self._release(work.ledger, claim, work.batch.job, said(error), rest, failed=failed)
        return work.ended(Outcome.GIVEN_BACK, type(error).__name__)

    async def _give_up_reading(
        self, ledger: Ledger, claim: Claim, error: BatchDecodeError
    ) -> Ingested:
        """Leave a batch to others that this program can't read, without a failed attempt."""
        job = await ledger.redis.hget(ledger.keys.batch(claim.batch_id), "job")
        message = f"batch {claim.batch_id} can't be read: {said(error)}"
        await self._release(
            ledger, claim, text(job or b""), message, UNREADABLE_REST_SECONDS, failed=False
        )
        return Ingested(Outcome.GIVEN_BACK, reason=type(error).__name__)

    async def _release(
        self, ledger: Ledger, claim: Claim, job: str, error: str, rest: float, *, failed: bool
    ) -> None:
        logger.warning(
            "batch given back",
            extra={
                "event": "batch_given_back",
                "batch": claim.batch_id,
                "attempts": claim.attempts + failed,
                "rest_seconds": rest,
                "error": error,
            },
        )
        await Jobs(ledger.redis, ledger.collection).note_trouble(job, error)
        await ledger.release(
            claim.batch_id, claim.owner, delay_seconds=rest, failed=failed, error=error
        )
