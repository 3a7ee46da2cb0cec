"""Halts: batches of jobs that someone pauses or cancels are let go of."""

import asyncio
import logging
from collections import defaultdict
from typing import Protocol

from redis.asyncio import Redis

from contract.errors import TransientError
from contract.ledger.connection import translated
from contract.ledger.control import Halt, JobControl
from contract.settings import Settings

INTERVAL_SECONDS = 0.5
"""So that within a second nobody works on a halted job."""

logger = logging.getLogger(__name__)


class InFlight(Protocol):
    """Batches in the hands of this process; see :class:`worker.ingest.Ingester`."""

    def jobs_in_flight(self) -> set[tuple[str, str]]:
        """Give the (collection, job) of each."""

    def cancel(self, collection: str, job: str) -> None:
        """Let go of those of a job, without blame."""


async def keep_heeding(redis: Redis, in_flight: InFlight, settings: Settings) -> None:
    """Look every half second until cancelled; outages are waited out."""
    while True:
        try:
            with translated(settings):
                await heed_once(redis, in_flight)
        except TransientError as error:
            logger.warning("halts not read", extra={"event": "halts_failed", "error": str(error)})
        await asyncio.sleep(INTERVAL_SECONDS)


async def heed_once(redis: Redis, in_flight: InFlight) -> None:
    """Let go of the batches of halted jobs."""
    jobs = defaultdict(list)
    for collection, job in in_flight.jobs_in_flight():
        jobs[collection].append(job)
    for collection, names in jobs.items():
        halts = await JobControl(redis, collection).halts(names)
        for job, halt in zip(names, halts, strict=True):
            if halt is not Halt.NONE:
                logger.info(
                    "job is halted",
                    extra={"event": "job_halted", "job": job, "halt": halt.value},
                )
                in_flight.cancel(collection, job)
