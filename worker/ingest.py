"""The way of one batch through a worker: claim, embed, write, settle, clean up, finish.

Safe to repeat from any point: rows have ids of their own version, marks count once, and the
batch leaves the ledger in the last step only.
"""

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from redis.exceptions import RedisError

from contract.batch import Batch, Part, decode
from contract.errors import HeadraceError, LeaseLostError, PermanentError, TransientError
from contract.ids import chunk_ids
from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import Claim, ClaimState, Finish, PartMark, Settled, Verdict
from worker.dead_letters import dead_letter
from worker.embedding.embedder import Embedder
from worker.isolation import isolate
from worker.lease import Lease
from worker.outcome import Ingested, Outcome, Stage, Stopwatch
from worker.retry import RetryPolicy
from worker.store import Row, rows_of

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Store(Protocol):
    """Where rows go; see :class:`worker.store.MilvusStore`."""

    async def upsert(self, rows: Sequence[Row], vectors: NDArray[np.float32]) -> None:
        """Write rows, replacing those with the same ids."""

    async def delete(self, ids: Sequence[str]) -> None:
        """Delete rows by id."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take."""

    lease_seconds: float
    batch_timeout_seconds: float
    retry: RetryPolicy


class Ingester:
    """Ingests batches; one object a process, used by many tasks at once."""

    def __init__(
        self,
        *,
        worker_id: str,
        ledger_of: Callable[[str], Ledger],
        store_of: Callable[[str], Awaitable[Store]],
        embedder: Embedder,
        limits: Limits,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Be handed everything that reaches outside; the caller closes it.

        Args:
            worker_id: begins the owner of every lease of this process.
            ledger_of: collection -> its ledger.
            store_of: collection -> its store, made when it is first asked for.
            embedder: the model.
            limits: leases, time-outs, retries.
            now: a clock that does not jump.
        """
        self.worker_id = worker_id
        self._ledger_of = ledger_of
        self._store_of = store_of
        self._embedder = embedder
        self._limits = limits
        self._now = now
        self._numbers = itertools.count()
        self._draw = random.Random()  # noqa: S311 - jitter

    async def ingest(self, collection: str, batch_id: str) -> Ingested:
        """Bring one batch to its end, or give it back.

        Raises:
            RedisError: the ledger does not answer; a lease, if there is one, runs out.
        """
        ledger = self._ledger_of(collection)
        owner = f"{self.worker_id}{next(self._numbers)}"
        try:
            return await self._ingest(ledger, batch_id, owner)
        except asyncio.CancelledError:
            # Also for a claim whose answer was still on its way.
            await asyncio.shield(ledger.release(batch_id, owner))
            raise

    async def _ingest(self, ledger: Ledger, batch_id: str, owner: str) -> Ingested:
        begun = self._now()
        claim = await ledger.claim(batch_id, owner, self._limits.lease_seconds)
        if claim.state is not ClaimState.CLAIMED:
            return Ingested(Outcome.DROPPED, reason=claim.state.value)
        lease = Lease(ledger, batch_id, owner, self._limits.lease_seconds, begun, self._now)
        work = _Work(self, ledger, claim, lease, Stopwatch(self._now))
        try:
            async with asyncio.timeout(self._limits.batch_timeout_seconds), lease.kept():
                return await work.run()
        except LeaseLostError:
            return work.ended(Outcome.LOST, "lease")
        except RedisError:
            raise  # the ledger is away: there is nobody to give the batch back to
        except (HeadraceError, TimeoutError) as error:
            return await self._give_back(work, error)
        except Exception as error:
            logger.exception("batch failed", extra={"event": "batch_failed", "batch": batch_id})
            return await self._give_back(work, error)

    async def _give_back(self, work: "_Work", error: Exception) -> Ingested:
        """Let the batch rest and be tried again, by whoever is there then."""
        claim = work.claim
        transient = error if isinstance(error, TransientError) else TransientError(repr(error))
        rest = self._limits.retry.rest_seconds(transient, claim.attempts)
        logger.warning(
            "batch given back",
            extra={
                "event": "batch_given_back",
                "batch": claim.batch_id,
                "attempts": claim.attempts + 1,
                "rest_seconds": rest,
                "error": str(error) or type(error).__name__,
            },
        )
        if work.batch is not None:
            jobs = Jobs(work.ledger.redis, work.ledger.collection)
            await jobs.note_trouble(work.batch.job, str(error) or type(error).__name__)
        await work.ledger.release(claim.batch_id, claim.owner, delay_seconds=rest, failed=True)
        return work.ended(Outcome.GIVEN_BACK, type(error).__name__)

    async def retrying(self, stage: Stage, call: Callable[[], Awaitable[T]], watch: Stopwatch) -> T:
        """Make a call until it succeeds, is refused, or has failed too often for now."""
        attempt = 0
        while True:
            try:
                with watch.measured(stage):
                    return await call()
            except TransientError as error:
                attempt += 1
                delay = self._limits.retry.delay_seconds(error, attempt, self._draw)
                watch.count_retry(stage, type(error).__name__)
                if delay is None:
                    raise
                await asyncio.sleep(delay)


class _Work:
    """One batch in the hands of one worker."""

    def __init__(
        self, ingester: Ingester, ledger: Ledger, claim: Claim, lease: Lease, watch: Stopwatch
    ) -> None:
        self.ingester = ingester
        self.ledger = ledger
        self.claim = claim
        self.lease = lease
        self.watch = watch
        self.batch: Batch | None = None
        self.tokens = 0
        self.dead: dict[int, PermanentError] = {}  # by the part's place in the batch
        self.written = 0
        self.committed = 0

    async def run(self) -> Ingested:
        batch = self.batch = decode(self.claim.payload)
        wanted = await self.ledger.wanted([part.document_id for part in batch.parts])
        live = [
            (place, part)
            for place, (part, version) in enumerate(zip(batch.parts, wanted, strict=True))
            if part.version == version and part.chunks
        ]
        store = await self.ingester._store_of(self.ledger.collection)  # noqa: SLF001 - one unit
        vectors = await self._embed(live)
        await self._write(store, live, vectors)
        await self._settle(store, batch)
        return self.ended(Outcome.FINISHED)

    async def _embed(self, live: Sequence[tuple[int, Part]]) -> dict[str, NDArray[np.float32]]:
        """Embed each text once; texts that are refused alone make their parts dead."""
        vectors: dict[str, NDArray[np.float32]] = {}
        embedder = self.ingester._embedder  # noqa: SLF001 - one unit

        async def embed(texts: Sequence[str]) -> None:
            embedded = await self.ingester.retrying(
                Stage.EMBED, lambda: embedder.embed(texts), self.watch
            )
            self.tokens += embedded.tokens or 0
            vectors.update(zip(texts, embedded.vectors, strict=True))

        texts = list(dict.fromkeys(chunk.text for _, part in live for chunk in part.chunks))
        refused = dict(await isolate(texts, embed))
        for place, part in live:
            for chunk in part.chunks:
                if chunk.text in refused:
                    self.dead.setdefault(place, refused[chunk.text])
        return vectors

    async def _write(
        self,
        store: Store,
        live: Sequence[tuple[int, Part]],
        vectors: dict[str, NDArray[np.float32]],
    ) -> None:
        """Write the rows of the parts that are whole, as long as the lease is ours."""
        rows = [
            (place, row) for place, part in live if place not in self.dead for row in rows_of(part)
        ]

        async def upsert(some: Sequence[tuple[int, Row]]) -> None:
            matrix = np.stack([vectors[row.document.page_content] for _, row in some])

            async def call() -> None:
                self.lease.check()
                await store.upsert([row for _, row in some], matrix)

            await self.ingester.retrying(Stage.WRITE, call, self.watch)

        for (place, _), error in await isolate(rows, upsert):
            self.dead.setdefault(place, error)
        self.written = sum(place not in self.dead for place, _ in rows)

    async def _settle(self, store: Store, batch: Batch) -> None:
        """Mark the parts, delete what is stale, then commit and strike the batch off."""
        marks = tuple(
            PartMark(part.document_id, part.version, part.first, part.units, place in self.dead)
            for place, part in enumerate(batch.parts)
        )
        settled = await self.ledger.settle(marks)
        stale = [
            chunk_id
            for part, verdict in zip(batch.parts, settled, strict=True)
            for chunk_id in _stale_ids(part, verdict)
        ]
        if stale:
            await self.ingester.retrying(Stage.DELETE, lambda: store.delete(stale), self.watch)
        letters = tuple(
            dead_letter(batch, batch.parts[place], error, self.claim.attempts)
            for place, error in self.dead.items()
        )
        finish = Finish(
            marks, tuple(s.verdict for s in settled), self.written, self.tokens, letters
        )
        with self.watch.measured(Stage.COMMIT):
            struck = await self.ledger.finish(self.claim.batch_id, batch.job, finish)
        if struck:
            self.committed = sum(s.verdict is Verdict.COMMIT for s in settled)

    def ended(self, outcome: Outcome, reason: str = "") -> Ingested:
        """Say how it went."""
        parts = self.batch.parts if self.batch and outcome is Outcome.FINISHED else ()
        return Ingested(
            outcome,
            reason=reason,
            chunks=self.written,
            documents=self.committed,
            dead=tuple(type(error).__name__ for error in self.dead.values()),
            tokens=self.tokens,
            text_bytes=sum(len(chunk.text.encode()) for part in parts for chunk in part.chunks),
            seconds=self.watch.seconds,
            retries=self.watch.retries,
        )


def _stale_ids(part: Part, settled: Settled) -> list[str]:
    """Name the rows that a verdict says must go."""
    if settled.verdict is Verdict.SUPERSEDED:
        return list(chunk_ids(part.document_id, part.version, part.ordinals))
    return [
        chunk_id
        for version, count in settled.versions
        for chunk_id in chunk_ids(part.document_id, version, range(count))
    ]
