"""Carries out one run of a schedule: an import, under a lease, from claim to history."""

import asyncio
import logging
import os
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from contract.errors import (
    CancelledJobError,
    GuardError,
    HeadraceError,
    LeaseLostError,
    UsageError,
)
from contract.ledger.connection import connect, translated
from contract.ledger.control import Halt, JobControl
from contract.ledger.jobs import find_job
from contract.ledger.promises import Promises
from contract.prices import cost_usd, price_of
from contract.settings import Settings
from contract.tasks import end
from headrace.importing import Import, ImportOptions
from headrace.recutting import notices
from headrace.schedules.leases import Leases
from headrace.schedules.run import Claimed, RunState, ShardEnd
from headrace.session import Session
from producers.listing import begin_listing
from producers.sources.shard import Remainder, Shard
from producers.sources.source import Source
from worker.identity import worker_id_prefix

RENEW_SECONDS: Final = 1.0
"""A run that is cancelled hears of it so much later."""

logger = logging.getLogger(__name__)


class Runner:
    """Carries out runs with one process's settings; each call is on its own."""

    def __init__(self, settings: Settings) -> None:
        """Hold the settings; nothing is sent yet."""
        self._settings = settings

    async def carry_out(self, run_id: str) -> RunState | None:
        """Claim a run, and bring it to its end.

        Cancelled, it gives the run back, for another process to go on with.

        Returns:
            How it ended; None when it was not to be had, or was given back.
        """
        async with AsyncExitStack() as stack:
            patience = self._settings.outage_patience_seconds
            redis = connect(self._settings, patience_seconds=patience)
            stack.push_async_callback(redis.aclose)
            stack.enter_context(translated(self._settings))
            leases = Leases(redis)
            schedule = await leases.schedule_of(run_id)
            if schedule is None:
                return None
            owner = f"{worker_id_prefix(os.getpid())}{secrets.token_hex(4)}"
            claimed = await leases.claim(run_id, owner, schedule, schedule.source_name())
            if claimed is None:
                return None
            return await _Attempt(self._settings, redis, leases, claimed).carry_out()


class _Attempt:
    """One run in the hands of this process."""

    def __init__(self, settings: Settings, redis: Redis, leases: Leases, claimed: Claimed) -> None:
        schedule = claimed.schedule
        changes = {"collection": schedule.collection, "lane": schedule.lane}
        self._settings = settings.model_copy(update=changes)
        self._redis = redis
        self._leases = leases
        self._claimed = claimed
        self._job = ""
        self._verdict = ""
        """Why the import was ended from here: ``lost`` or ``cancelled``."""

    async def carry_out(self) -> RunState | None:
        if self._is_to_be_scattered:
            return await self._scatter()
        self._tell("run begun")
        importing = asyncio.create_task(self._import(), name=f"run {self._claimed.id}")
        renewing = asyncio.create_task(self._keep_renewing(importing))
        try:
            state, reason = await self._outcome(importing)
        except LeaseLostError:
            self._tell("run lost")
            return None
        except asyncio.CancelledError:
            await end(importing)
            await self._leases.release(self._claimed)
            self._tell("run given back")
            raise
        finally:
            await end(renewing)
            await end(importing)
        await self._leases.end(self._claimed, state, reason, await self._result())
        self._tell(f"run {state.value}", reason)
        return state

    @property
    def _is_to_be_scattered(self) -> bool:
        return self._claimed.schedule.shards > 1 and self._claimed.listing is None

    async def _scatter(self) -> RunState | None:
        """Begin the listing that all shards share, and let anyone have them."""
        schedule = self._claimed.schedule
        try:
            source = await asyncio.to_thread(schedule.open)
        except UsageError as error:
            await self._leases.end(self._claimed, RunState.FAILED, str(error), {})
            return RunState.FAILED
        promises = Promises(self._redis, schedule.collection)
        await notices(self._settings, schedule.collection, promises, [source], self._tell)
        listing = await begin_listing(promises, source)
        await self._leases.scatter(self._claimed, listing)
        self._tell("run cut into shards")
        return None

    async def _outcome(self, importing: "asyncio.Task[bool]") -> tuple[RunState, str]:
        try:
            all_well = await importing
        except asyncio.CancelledError:
            if self._verdict == "lost":
                raise LeaseLostError(self._claimed.id) from None
            if self._verdict == "cancelled":
                return RunState.CANCELLED, "cancelled for the run after it, or with its schedule"
            raise
        except CancelledJobError as error:
            return RunState.CANCELLED, str(error)
        except GuardError as error:
            return RunState.STOPPED, str(error)
        except HeadraceError as error:
            return RunState.FAILED, str(error)
        except Exception as error:
            logger.exception("run failed", extra={"event": "run_failed", "run": self._claimed.id})
            return RunState.FAILED, f"{type(error).__name__}: see the log of the producer worker"
        return RunState.DONE, "" if all_well else "some documents became dead letters"

    async def _import(self) -> bool:
        """Import; tells whether nothing became a dead letter.

        Raises:
            GuardError: a budget was reached, or something was held back.
        """
        schedule = self._claimed.schedule
        source: Source = await asyncio.to_thread(schedule.open)
        if self._claimed.shard is not None:
            source = Shard(source, self._claimed.shard, schedule.shards)
        elif self._claimed.listing is not None:
            refuse_unfinished(self._claimed.ends)
            source = Remainder(source)
        options = ImportOptions(
            schedule.collection,
            named_source=bool(schedule.source),
            deletions=schedule.deletions,
            listing=self._claimed.listing,
            max_tokens=_share(schedule.max_tokens, schedule.shards),
            max_cost=None if schedule.max_cost is None else schedule.max_cost / schedule.shards,
        )

        def on_job(job: str) -> None:
            self._job = job

        importing = Import(
            Session(self._settings, is_local=False),
            options,
            on_progress=lambda _: None,
            say=self._tell,
            on_job=on_job,
        )
        (summary,) = await importing.run([source])
        if summary.held:
            raise GuardError(summary.held)
        return not summary.has_dead_letters

    async def _keep_renewing(self, importing: "asyncio.Task[bool]") -> None:
        """Renew the lease, and end the import when that is lost or the run is cancelled."""
        try:
            while (found := await self._leases.renew(self._claimed, self._job)) == "kept":  # noqa: ASYNC110
                await asyncio.sleep(RENEW_SECONDS)
            if found == "cancelled" and self._job:
                control = JobControl(self._redis, self._claimed.schedule.collection)
                await control.halt(self._job, Halt.CANCELLED)
            self._verdict = found
        except RedisError:
            self._verdict = "lost"
        importing.cancel()

    async def _result(self) -> Mapping[str, Any]:
        """Give the counters of the job, with those of the shards, and what it cost."""
        counts = Counter[str]()
        for shard in self._claimed.ends:
            counts.update(msgspec.json.decode(shard.result).get("counts", {}))
        try:
            job = await find_job(self._redis, self._job) if self._job else None
        except RedisError:
            job = None
        counts.update(job.counts if job is not None else {})
        cost = cost_usd(counts["tokens"], price_of(self._settings))
        return {"counts": dict(counts), "cost_usd": cost}

    def _tell(self, what: str, reason: str = "") -> None:
        logger.info(
            what,
            extra={
                "event": "run",
                "run": self._claimed.id,
                "schedule": self._claimed.schedule.name,
                "job": self._job,
                "reason": reason,
            },
        )


def refuse_unfinished(ends: Sequence[ShardEnd]) -> None:
    """Let nothing be deleted unless all shards have shown what they have.

    Raises:
        CancelledJobError: a shard was cancelled.
        GuardError: a shard did not come to its end.
    """
    if any(end.state is RunState.CANCELLED for end in ends):
        raise CancelledJobError("its shards were cancelled")
    for number, shard in enumerate(ends):
        if shard.state is not RunState.DONE:
            raise GuardError(f"nothing was deleted: shard {number} {shard.state}: {shard.reason}")


def _share(tokens: int | None, shards: int) -> int | None:
    """Give a shard's part of a budget."""
    return None if tokens is None else max(tokens // shards, 1)
