"""Promises of the watch over jobs, with a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from contract.batch import Batch, Chunk, Part
from contract.errors import CancelledJobError, GuardError, TransientError, UnreachableError
from contract.ledger.connection import connect
from contract.ledger.control import Halt, JobControl
from contract.ledger.jobs import Job, Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import Promise
from contract.settings import Settings, load_settings
from contract.tasks import end
from headrace.progress import Progress
from headrace.session import Session
from headrace.watching import Watch, outage_teller
from headrace.workforce import Workforce
from producers.tally import Tally
from tests.producers.simple_worker import SimpleWorker
from tests.servers.redis import redis_server


class Desk:
    """A watch, what it said, and a job to be watched."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        """Begin without a job."""
        self.redis = redis
        self.jobs = Jobs(redis, "books")
        self.control = JobControl(redis, "books")
        self.said: list[str] = []
        self.progress: list[Progress] = []
        self.tally = Tally()
        session = Session(settings, is_local=False)
        self.watch = Watch(
            redis,
            session,
            "books",
            Workforce(session),
            on_progress=self.progress.append,
            say=self.said.append,
        )

    async def publish(self, job: str, document: str = "d") -> None:
        """Promise and publish one chunk."""
        ledger = Ledger(self.redis, "books")
        promise = Promise(
            document_id=document, source="docs", key_bytes=b"d", content_hash="h", chunk_count=1
        )
        (made,) = await ledger.promises.register(job, [promise])
        part = Part(
            document_id=document,
            source="docs",
            version=made.version,
            content_hash="h",
            chunk_count=1,
            first=0,
            chunks=(Chunk(key="k", text="text"),),
        )
        await ledger.publish([Batch(collection="books", job=job, parts=(part,))])

    @asynccontextmanager
    async def followed(
        self, job: str, production: Exception | None = None
    ) -> AsyncIterator["asyncio.Task[list[Job]]"]:
        """Follow a job whose producer is through, or ended with an error."""

        async def produce() -> None:
            if production is not None:
                raise production

        made = asyncio.create_task(produce())
        following = asyncio.create_task(self.watch.follow(job, self.tally, made, detach=False))
        try:
            yield following
        finally:
            await end(following)
            await end(made)


@pytest.fixture
def desk(redis: Redis, settings: Settings) -> Desk:
    """Give a desk on the session's Redis."""
    return Desk(redis, settings)


async def _until(desk: Desk, words: str) -> None:
    async with asyncio.timeout(20):
        while not any(words in line for line in desk.said):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


async def test_a_job_is_followed_to_its_last_batch(desk: Desk) -> None:
    """Sealed is not enough; once the batch is finished, the watch ends."""
    job = await desk.jobs.create("docs")
    await desk.publish(job)
    await desk.jobs.seal(job, {})
    async with desk.followed(job) as following:
        await asyncio.wait([following], timeout=0.8)
        assert not following.done()
        await SimpleWorker(desk.redis, "books").drain()
        (own,) = await asyncio.wait_for(following, 20)
    assert own.documents_settled == 1
    assert desk.progress[-1].documents_done == 1


async def test_a_guard_is_told_of_after_everything_else(desk: Desk) -> None:
    """What was published is brought to its end first."""
    job = await desk.jobs.create("docs")
    await desk.publish(job)
    await desk.jobs.seal(job, {})
    async with desk.followed(job, GuardError("too many")) as following:
        await asyncio.wait([following], timeout=0.8)
        assert not following.done()
        await SimpleWorker(desk.redis, "books").drain()
        with pytest.raises(GuardError, match="too many"):
            await asyncio.wait_for(following, 20)


async def test_an_error_of_the_producer_ends_it_at_once(desk: Desk) -> None:
    """Nobody waits for workers that may never come."""
    job = await desk.jobs.create("docs")
    await desk.publish(job)
    async with desk.followed(job, UnreachableError("gone")) as following:
        with pytest.raises(UnreachableError, match="gone"):
            await asyncio.wait_for(following, 20)


async def test_a_cancelled_job_ends_the_watch(desk: Desk) -> None:
    """Someone cancelled it from elsewhere, with batches left."""
    job = await desk.jobs.create("docs")
    await desk.publish(job)
    await desk.jobs.seal(job, {})
    async with desk.followed(job) as following:
        await asyncio.wait([following], timeout=0.5)
        await desk.control.halt(job, Halt.CANCELLED)
        with pytest.raises(CancelledJobError, match="cancelled from elsewhere"):
            await asyncio.wait_for(following, 20)


async def test_a_cancelled_job_that_was_waited_for(desk: Desk) -> None:
    """Documents that another job had begun are not there: that is not called done."""
    other, job = await desk.jobs.create("docs"), await desk.jobs.create("docs")
    await desk.publish(other)
    desk.tally.awaited_jobs.add(other)
    await desk.jobs.seal(job, {})
    async with desk.followed(job) as following:
        await desk.control.halt(other, Halt.CANCELLED)
        with pytest.raises(CancelledJobError, match=other):
            await asyncio.wait_for(following, 20)


async def test_a_paused_job_is_told_of_once_and_goes_on(desk: Desk) -> None:
    """The watch waits, and says how to let it go on."""
    job = await desk.jobs.create("docs")
    await desk.publish(job)
    await desk.jobs.seal(job, {})
    await desk.control.halt(job, Halt.PAUSED)
    async with desk.followed(job) as following:
        await _until(desk, f"headrace jobs resume {job}")
        await asyncio.wait([following], timeout=0.8)
        assert desk.progress[-1].paused
        assert len(desk.said) == 1
        await desk.control.halt(job, Halt.NONE)
        await SimpleWorker(desk.redis, "books").drain()
        await asyncio.wait_for(following, 20)
    assert not desk.progress[-1].paused


async def test_a_job_that_redis_forgot(desk: Desk) -> None:
    """It is not called done."""
    async with desk.followed("nobody") as following:
        with pytest.raises(TransientError, match="forgotten all"):
            await asyncio.wait_for(following, 20)


async def test_an_outage_is_waited_out_and_told_of_once(tmp_path: Path) -> None:
    """Redis is away for a while and comes back: the watch goes on where it was."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with redis_server(folder) as server:
        settings = load_settings({}, tmp_path, redis_url=server.url)
        said: list[str] = []
        session = Session(settings, is_local=False)
        redis = connect(
            settings, patience_seconds=60.0, on_trouble=outage_teller(session, said.append)
        )
        desk = Desk(redis, settings)
        desk.said = said
        job = await desk.jobs.create("docs")
        await desk.publish(job)
        async with desk.followed(job) as following:
            await asyncio.wait([following], timeout=0.5)
            server.kill()
            await _until(desk, "does not answer; waiting (up to 600 s)")
            await asyncio.wait([following], timeout=2.5)
            assert not following.done()
            assert len(said) == 1
            server.start()
            job_again = await desk.jobs.get(job)
            if job_again is None:  # killed within the second before it writes to its disk
                with pytest.raises(TransientError, match="forgotten"):
                    await asyncio.wait_for(following, 20)
            else:
                await desk.jobs.seal(job, {})
                await SimpleWorker(redis, "books").drain()
                await asyncio.wait_for(following, 20)
        await redis.aclose()
    assert len(said) == 1
