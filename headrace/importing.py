"""One import from start to summary: produce, watch the workers, wait until all is searchable."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from celery import Celery
from redis.asyncio import Redis
from redis.exceptions import RedisError

from contract.errors import HeadraceError, TransientError, UnreachableError, UsageError
from contract.ledger.connection import connect, translated
from contract.ledger.jobs import Job, Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import DeadLetter
from contract.ledger.sweeper import keep_sweeping
from contract.presence import present_workers
from contract.queue import make_app
from contract.tasks import end
from headrace.checks import flush_collection, prepare_collection
from headrace.local.children import Children
from headrace.orphans import take_away
from headrace.progress import Progress, ProgressMeter
from headrace.session import Session, require_servers, start_workers
from headrace.summary import Summary, summarise
from producers.producer import Producer
from producers.sources.source import Source
from worker.embedding.build import make_embedder

POLL_SECONDS = 0.25
LOOK_SECONDS = 2.0
"""Between two looks at whether embedded servers still run."""
NO_WORKER_HINT_SECONDS = 10.0
STOP_GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to import."""

    collection: str
    detach: bool = False
    """Publish everything and leave the rest to workers that run elsewhere."""
    named_source: bool = False
    """The user named the source, so it may have moved."""


class Import:
    """Imports sources one after the other, with workers of its own if the servers are its own."""

    def __init__(
        self,
        session: Session,
        options: ImportOptions,
        *,
        on_progress: Callable[[Progress], None],
        say: Callable[[str], None],
    ) -> None:
        """Prepare.

        Args:
            session: the servers.
            options: what to do.
            on_progress: told several times a second how far it is.
            say: takes lines for a person.
        """
        self._session = session
        self._settings = session.settings
        self._options = options
        self._on_progress = on_progress
        self._say = say
        self._children: Children | None = None

    async def run(self, sources: list[Source]) -> list[Summary]:
        """Import all sources; cancelled, it stops its workers in order and can be resumed.

        Raises:
            UnreachableError: a server does not answer.
            UsageError: configuration, collection or source do not fit.
        """
        async with AsyncExitStack() as stack:
            redis = connect(self._settings)
            stack.push_async_callback(redis.aclose)
            stack.enter_context(translated(self._settings))
            app = make_app(self._settings)
            await self._check(redis)
            await self._refuse_strangers(redis, sources)
            sweeper = asyncio.create_task(keep_sweeping(redis, app, self._settings))
            stack.push_async_callback(end, sweeper)
            stack.push_async_callback(self._stop_workers)
            try:
                summaries = [await self._import(redis, app, source) for source in sources]
            except (TransientError, RedisError):
                require_servers(self._session)
                raise
            except asyncio.CancelledError:
                if self._children is not None:
                    seconds = self._settings.drain_seconds
                    self._say(f"stopping: batches in flight may end first, {seconds:g} s at most")
                raise
            if self._session.is_local:
                await flush_collection(self._settings, self._options.collection)
            return summaries

    async def _check(self, redis: Redis) -> None:
        embedder = make_embedder(self._settings)
        try:
            await prepare_collection(redis, self._settings, self._options.collection, embedder)
        finally:
            await embedder.aclose()

    async def _refuse_strangers(self, redis: Redis, sources: list[Source]) -> None:
        """Refuse another folder of the same name, which would replace the first one's documents."""
        ledger = Ledger(redis, self._options.collection)
        for source in sources:
            before = await ledger.origin(source.name)
            if before not in {None, source.origin} and not self._options.named_source:
                raise UsageError(
                    f"source {source.name!r} was imported from {before}, not {source.origin}; "
                    f"type --source NAME to give this one another name, or --source "
                    f"{source.name} if it has moved"
                )

    async def _import(self, redis: Redis, app: Celery, source: Source) -> Summary:
        begun = time.monotonic()
        producer = Producer(redis, self._settings, source, self._options.collection)
        await producer.begin()
        production = asyncio.create_task(producer.run(app))
        try:
            await self._watch(redis, producer, production)
        finally:
            await end(production)
        jobs = await self._jobs(redis, producer)
        if not self._options.detach:
            missing = producer.tally.promised - jobs[0].documents_settled
            if missing > 0:
                raise _forgotten(str(missing))
        state = "detached" if self._options.detach else "done"
        seconds = time.monotonic() - begun
        letters = await self._letters(redis, jobs)
        return summarise(jobs[0], letters, producer.tally, seconds, state)

    async def _watch(
        self, redis: Redis, producer: Producer, production: asyncio.Task[None]
    ) -> None:
        """Wait until the job and those that it waits for are through; tell how far they are."""
        meter = ProgressMeter()
        hinted = looked = time.monotonic()
        while True:
            jobs = await self._jobs(redis, producer)
            self._on_progress(meter.measure(jobs, time.monotonic()))
            if production.done():
                production.result()
                if self._options.detach or (jobs[0].sealed and all(job.drained for job in jobs)):
                    return
            if not all(job.drained for job in jobs):
                self._start_workers()
            self._raise_worker_failure()
            if time.monotonic() - looked > LOOK_SECONDS:
                looked = time.monotonic()
                require_servers(self._session)
            if time.monotonic() - hinted > NO_WORKER_HINT_SECONDS:
                hinted = time.monotonic()
                await self._hint_at_workers(redis)
            await asyncio.wait([production], timeout=POLL_SECONDS)
            if production.done():
                await asyncio.sleep(POLL_SECONDS)

    async def _jobs(self, redis: Redis, producer: Producer) -> list[Job]:
        """Read the job, and after it those it waits for: once it is sealed, these are all."""
        jobs = Jobs(redis, self._options.collection)
        own = await jobs.get(producer.job)
        if own is None:
            raise _forgotten("all")
        found = [await jobs.get(name) for name in sorted(producer.tally.awaited_jobs)]
        return [own, *(job for job in found if job is not None)]

    async def _letters(self, redis: Redis, jobs: list[Job]) -> list[DeadLetter]:
        """Read what became of documents that workers could not ingest."""
        if not any(job.count("documents_failed") for job in jobs):
            return []
        names = {job.id for job in jobs}
        letters = await Ledger(redis, self._options.collection).dead_letters()
        return [letter for letter in letters if letter.job in names and letter.stage != "read"]

    def _start_workers(self) -> None:
        """Start workers of our own, once there is something for them to do."""
        if self._children or self._options.detach or not self._session.is_local:
            return
        loop = asyncio.get_running_loop()

        def on_exit(pid: int, _returncode: int) -> None:
            asyncio.run_coroutine_threadsafe(take_away(self._settings, pid), loop)

        self._children = start_workers(self._session, self._settings.workers, on_exit)
        self._children.__enter__()

    async def _stop_workers(self) -> None:
        if self._children is not None:
            await asyncio.to_thread(self._children.stop, STOP_GRACE_SECONDS)

    def _raise_worker_failure(self) -> None:
        failure = self._children.failure if self._children else None
        if failure is None:
            return
        error: type[HeadraceError] = UsageError if failure.returncode == 2 else UnreachableError  # noqa: PLR2004 - see worker.app
        raise error("a worker can't start:\n" + "\n".join(failure.log_lines))

    async def _hint_at_workers(self, redis: Redis) -> None:
        if not self._session.is_local and not await present_workers(redis):
            self._say("no worker is running; start one with: headrace worker")


def _forgotten(documents: str) -> TransientError:
    """Refuse to call an import done of which Redis lost a part, as at a power cut.

    Its append-only file is written to disk once a second; what came after is gone with the
    machine, counters and all, so that nothing seems to be missing.
    """
    return TransientError(
        f"Redis has forgotten {documents} documents of this import (was it restarted from an "
        "older state?); run the same command again"
    )
