"""The janitor: deletes rows that nobody wants and nobody else will delete.

These are rows of superseded versions, once more after their quarantine, and of what a
cancelled job had promised. Every step may be repeated, and any number of janitors may be at
work at once; a lock saves them from doing the same work twice.
"""

import asyncio
import itertools
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Protocol

from redis.asyncio import Redis
from redis.exceptions import LockError

from contract.errors import CollectionGoneError, HeadraceError
from contract.ids import chunk_ids
from contract.ledger.connection import translated
from contract.ledger.control import JobControl
from contract.ledger.graves import Graves
from contract.ledger.jobs import collections
from contract.ledger.ledger import Ledger
from contract.ledger.records import ClaimState, Rows
from contract.ledger.unfinished import unfinished_batches
from contract.names import Keys
from contract.settings import Settings

INTERVAL_SECONDS = 3.0
LOCK_SECONDS = 15.0
"""After which another janitor takes over from one that was killed."""
PATIENCE_SECONDS = 60.0
GRAVES_TOGETHER = 200
DOCUMENTS_TOGETHER = 100
IDS_TOGETHER = 1_000
_MOMENT_SECONDS = 1.0
"""A lease that nobody is to hold for long."""

logger = logging.getLogger(__name__)


class Store(Protocol):
    """Where rows are deleted; see :class:`worker.eraser.Eraser`."""

    async def delete(self, ids: Sequence[str]) -> None:
        """Delete rows by id."""


class Janitor:
    """Clears up in all collections of a ledger."""

    def __init__(
        self,
        redis: Redis,
        store_of: Callable[[str], Awaitable[Store]],
        quarantine_seconds: float,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Be handed what reaches outside; the caller closes it.

        Args:
            redis: holds the ledgers.
            store_of: collection -> where its rows are deleted.
            quarantine_seconds: after which rows deleted here are deleted once more.
            patience_seconds: how long to wait for workers to let go of a cancelled job. What
                they write after that lies until the end of the quarantine.
            now: a clock that does not jump.
        """
        self._redis = redis
        self._store_of = store_of
        self._quarantine_seconds = quarantine_seconds
        self._patience_seconds = patience_seconds
        self._now = now
        self._waited_since: dict[tuple[str, str], float] = {}

    async def keep_clearing(self, settings: Settings) -> None:
        """Clear up all collections until cancelled; outages are waited out."""
        while True:
            done = 0
            try:
                with translated(settings):
                    names = await collections(self._redis)
                for name in names:
                    done += await self._clear_alone(name, settings)
            except HeadraceError as error:
                logger.warning(
                    "clearing up failed", extra={"event": "clear_failed", "error": str(error)}
                )
            if not done:  # else there may be more
                await asyncio.sleep(INTERVAL_SECONDS)

    async def _clear_alone(self, collection: str, settings: Settings) -> int:
        """Clear up one collection unless another janitor does; its failure is its own."""
        lock = self._redis.lock(
            Keys(collection).lock("janitor"), timeout=LOCK_SECONDS, blocking=False
        )
        try:
            with translated(settings):
                if not await lock.acquire():
                    return 0
                try:
                    return await self.clear_once(collection)
                finally:
                    with suppress(LockError):  # it took too long, and another went on
                        await lock.release()
        except HeadraceError as error:
            logger.warning(
                "clearing up failed",
                extra={"event": "clear_failed", "collection": collection, "error": str(error)},
            )
            return 0

    async def clear_once(self, collection: str) -> int:
        """Do some of what is due; returns how much that was, 0 when nothing is left for now.

        Raises:
            TransientError: Milvus does not answer.
            RedisError: the ledger does not answer.
        """
        done = await self._close_graves(collection)
        for job in await self._control(collection).cancelled_jobs():
            done += await self.clear_job(collection, job)
        return done

    async def clear_job(self, collection: str, job: str) -> int:
        """Give up some of what a cancelled job promised, once no worker is at it any more.

        Returns:
            How many documents that were; 0 while workers hold some, and when all is done.

        Raises:
            TransientError: Milvus does not answer.
            RedisError: the ledger does not answer.
        """
        if await self._strike_off(collection, job) and not self._is_overdue(collection, job):
            return 0
        control = self._control(collection)
        documents = await control.open_documents(job, DOCUMENTS_TOGETHER)
        if documents:
            rows = await control.abandon(job, documents)
            await self._delete(collection, rows)
            await control.abandoned(job, documents)
        if await control.cleared(job):
            self._waited_since.pop((collection, job), None)
            logger.info(
                "cancelled job cleared up",
                extra={"event": "job_cleared", "collection": collection, "job": job},
            )
        return len(documents)

    def _control(self, collection: str) -> JobControl:
        return JobControl(self._redis, collection, quarantine_seconds=self._quarantine_seconds)

    async def _close_graves(self, collection: str) -> int:
        graves = Graves(self._redis, collection)
        rows = await graves.due(GRAVES_TOGETHER)
        if rows:
            await self._delete(collection, rows)
            await graves.close(rows)
            logger.info(
                "superseded versions deleted once more",
                extra={"event": "graves_closed", "collection": collection, "versions": len(rows)},
            )
        return len(rows)

    async def _strike_off(self, collection: str, job: str) -> bool:
        """Strike off the job's batches that nobody holds; True when some are still held."""
        ledger = Ledger(self._redis, collection)
        unfinished = await unfinished_batches(self._redis, collection, job)
        held = False
        for batch_id in (*unfinished.waiting, *unfinished.leased):
            # To claim a batch of a cancelled job strikes it off.
            claim = await ledger.claim(batch_id, f"janitor:{secrets.token_hex(8)}", _MOMENT_SECONDS)
            if claim.state is ClaimState.CLAIMED:  # the job is forgotten: workers see to it
                await ledger.release(batch_id, claim.owner)
            held = held or claim.state is ClaimState.TAKEN
        return held

    def _is_overdue(self, collection: str, job: str) -> bool:
        since = self._waited_since.setdefault((collection, job), self._now())
        return self._now() - since > self._patience_seconds

    async def _delete(self, collection: str, rows: Iterable[Rows]) -> None:
        ids = itertools.chain.from_iterable(
            chunk_ids(found.document_id, found.version, range(found.count)) for found in rows
        )
        store = None
        with suppress(CollectionGoneError):  # and all rows with it
            while some := list(itertools.islice(ids, IDS_TOGETHER)):
                store = store or await self._store_of(collection)
                await store.delete(some)
