"""Reading all ledgers, again and again: one step for each collection, and the broker's queues."""

import asyncio
import time
from typing import Final

from celery import Celery
from redis.asyncio import Redis

from contract.lane import Lane
from contract.ledger.jobs import collections
from contract.ledger.survey import Survey
from contract.ledger.usage import day_of
from contract.presence import PRODUCERS_KEY, present_workers, troubles_of
from contract.queue import lane_of_unacknowledged, messages_by_lane
from headrace.exporter.catalogue import MOST_JOBS, MOST_SOURCES
from headrace.exporter.job_watch import JobWatch
from headrace.exporter.ledger_facts import CollectionFacts, LedgerFacts, Presence, Queues
from headrace.exporter.places import Places

UNACKNOWLEDGED_KEY: Final = "unacked"
"""Where kombu keeps what it has handed out."""


class LedgerWatch:
    """Remembers what need not be read again."""

    def __init__(self, redis: Redis, broker: Celery | None, price: float | None) -> None:
        """Use clients that the caller closes.

        Args:
            redis: of the ledgers.
            broker: where the messages lie, if that is not the same Redis.
            price: US dollars per million tokens; None: not known.
        """
        self._redis = redis
        self._broker = broker
        self._price = price
        self._surveys: dict[str, tuple[Survey, JobWatch]] = {}
        self._sources = Places[tuple[str, str]](MOST_SOURCES)
        self._with_jobs = Places[tuple[str, str]](MOST_JOBS)

    async def read(self) -> LedgerFacts:
        """Read everything.

        Raises:
            RedisError: Redis does not answer, or refuses.
            UnreachableError: the broker does not answer.
        """
        day = day_of(time.time())
        found = {name: await self._read(name, day) for name in await collections(self._redis)}
        self._surveys = {name: known for name, known in self._surveys.items() if name in found}
        facts = LedgerFacts(
            read_at=time.time(),
            collections=found,
            queues=await self._queues(),
            presence=await self._presence(),
            price=self._price,
            source_places=self._sources,
            job_places=self._with_jobs,
        )
        self._sources.seat(facts.sources)
        self._with_jobs.seat(
            (name, active.job.source) for name in sorted(found) for active in found[name].active
        )
        return facts

    async def _read(self, name: str, day: int) -> CollectionFacts:
        if name not in self._surveys:
            self._surveys[name] = (Survey(self._redis, name), JobWatch())
        survey, watch = self._surveys[name]
        state = await survey.read(day, watch.since_ms, watch.names)
        watch.take(state.jobs, state.now_ms)
        return CollectionFacts(state, watch.active, watch.held)

    async def _presence(self) -> Presence:
        workers = await present_workers(self._redis)
        producers = await present_workers(self._redis, PRODUCERS_KEY)
        return Presence(workers, producers, await troubles_of(self._redis, workers))

    async def _queues(self) -> Queues:
        if self._broker is not None:
            return Queues(await asyncio.to_thread(messages_by_lane, self._broker), {})
        pipe = self._redis.pipeline(transaction=False)
        for lane in Lane:
            pipe.llen(lane.queue)
        pipe.hvals(UNACKNOWLEDGED_KEY)
        *waiting, unacknowledged = await pipe.execute()
        held = dict.fromkeys(Lane, 0)
        for message in unacknowledged:
            of = lane_of_unacknowledged(message)
            if of is not None:
                held[of] += 1
        return Queues(dict(zip(Lane, waiting, strict=True)), held)
