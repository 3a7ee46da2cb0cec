"""Promises of the look at halted jobs, with a real Redis."""

import asyncio
import time
from pathlib import Path

from redis.asyncio import Redis

from contract.ledger.connection import connect
from contract.ledger.control import Halt, JobControl
from contract.ledger.jobs import Jobs
from contract.settings import Settings
from contract.tasks import end
from tests.servers.redis import redis_tcp_server
from worker.halts import heed_once, keep_heeding


class Hands:
    """Batches in flight, by collection and job."""

    def __init__(self, *jobs: tuple[str, str]) -> None:
        self.jobs = set(jobs)
        self.let_go: list[tuple[str, str]] = []

    def jobs_in_flight(self) -> set[tuple[str, str]]:
        """Give them."""
        return self.jobs

    def cancel(self, collection: str, job: str) -> None:
        """Let go of one."""
        self.jobs.discard((collection, job))
        self.let_go.append((collection, job))


async def test_only_halted_jobs_are_let_go_of(redis: Redis) -> None:
    """Paused and cancelled, each in its collection; a job that is forgotten goes on."""
    names = {}
    for collection in ("a", "b"):
        for halt in Halt:
            job = await Jobs(redis, collection).create("docs")
            await JobControl(redis, collection).halt(job, halt)
            names[collection, halt] = job
    hands = Hands(*((collection, job) for (collection, _), job in names.items()), ("a", "gone"))
    await heed_once(redis, hands)
    halted = {(c, job) for (c, halt), job in names.items() if halt is not Halt.NONE}
    assert set(hands.let_go) == halted


async def test_nothing_in_flight_asks_nothing(redis: Redis) -> None:
    """An idle worker costs no round trip."""
    before = (await redis.info("stats"))["total_commands_processed"]
    await heed_once(redis, Hands())
    assert (await redis.info("stats"))["total_commands_processed"] - before <= 1


async def test_a_halt_is_heeded_after_an_outage(tmp_path: Path, settings: Settings) -> None:
    """Redis comes back, and the look goes on by itself."""
    with redis_tcp_server(tmp_path, appendonly=True) as server:
        own = settings.model_validate(settings.model_dump() | {"redis_url": server.url})
        redis = connect(own)
        job = await Jobs(redis, "a").create("docs")
        await JobControl(redis, "a").halt(job, Halt.PAUSED)
        server.kill()
        hands = Hands(("a", job))
        heeding = asyncio.create_task(keep_heeding(redis, hands, own))
        await asyncio.sleep(0.2)
        server.start()
        deadline = time.monotonic() + 10
        while not hands.let_go:
            assert not heeding.done()
            assert time.monotonic() < deadline, "the halt was not seen"
            await asyncio.sleep(0.02)
        await end(heeding)
        await redis.aclose()
