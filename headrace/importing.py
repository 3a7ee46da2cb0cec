"""One import from start to summary: produce, watch the workers, wait until all is searchable."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from celery import Celery
from msgspec.structs import replace
from redis.asyncio import Redis
from redis.exceptions import RedisError

from contract.errors import TransientError
from contract.ledger.connection import connect, translated
from contract.ledger.jobs import Job
from contract.ledger.ledger import Ledger
from contract.ledger.promises import Promises
from contract.ledger.records import DeadLetter
from contract.ledger.sweeper import keep_sweeping
from contract.prices import price_of
from contract.queue import make_app
from contract.tasks import end
from headrace.budgets import budgets_of
from headrace.checks import flush_collection, prepare_collection
from headrace.namesakes import refuse_namesakes
from headrace.progress import Progress
from headrace.recutting import notices
from headrace.session import Session, require_servers
from headrace.summary import Summary, summarise
from headrace.watching import Watch, forgotten, outage_teller
from headrace.workforce import Workforce
from producers.deleting import Deletions
from producers.listing import Listing
from producers.producer import Producer
from producers.sources.source import Source
from producers.tally import Tally
from worker.embedding.build import make_embedder


class Production(Protocol):
    """What publishes the batches of one job: a producer, or a replay of dead letters."""

    tally: Tally
    job: str
    """Empty until ``begin`` was called."""

    @property
    def source_name(self) -> str:
        """Name of the source whose documents it brings."""

    async def begin(self) -> None:
        """Create the job, so that it can be watched."""

    async def run(self, app: Celery) -> None:
        """Publish everything, then seal the job.

        Raises:
            CancelledJobError: the job was cancelled from elsewhere.
            GuardError: something was held back; all else is published, and the job sealed.
        """


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to import."""

    collection: str
    detach: bool = False
    """Publish everything and leave the rest to workers that run elsewhere."""
    named_source: bool = False
    """The user named the source, so it may have moved."""
    deletions: Deletions = Deletions.GUARDED
    """What becomes of documents that a source has no more."""
    listing: Listing | None = None
    """One that is shared with other imports; None: each source gets one of its own."""
    max_tokens: int | None = None
    """The most that this import may have embedded, of all its sources; None: no limit."""
    max_cost: float | None = None
    """Likewise, in US dollars."""
    verify_contents: bool = False
    """Read also what, by its stamp, has not changed."""
    stays: bool = False
    """Until someone ends it: workers of its own are started at once."""


class Import:
    """Brings documents in, with workers of its own if the servers are its own.

    Attributes:
        dimension: of the vectors that the collection holds, once productions are made.
    """

    def __init__(
        self,
        session: Session,
        options: ImportOptions,
        *,
        on_progress: Callable[[Progress], None],
        say: Callable[[str], None],
        on_job: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Prepare.

        Args:
            session: the servers.
            options: what to do.
            on_progress: told several times a second how far it is.
            say: takes lines for a person.
            on_job: told the id of each job as it begins.
        """
        self._session = session
        self._settings = session.settings
        self._options = options
        self._on_progress = on_progress
        self._say = say
        self._on_job = on_job
        self.dimension = 0

    async def run(self, sources: Sequence[Source]) -> list[Summary]:
        """Import sources one after the other; cancelled, it can be resumed.

        Raises:
            CancelledJobError: a job was cancelled from elsewhere.
            GuardError: too many documents would have been deleted; all else is done.
            UnreachableError: a server does not answer.
            UsageError: configuration, collection or source do not fit, or a cost is limited
                and the price is not known.
        """
        options = self._options
        budgets = budgets_of(
            self._settings, max_tokens=options.max_tokens, max_cost=options.max_cost
        )

        async def producers(redis: Redis) -> list[Producer]:
            promises = Promises(redis, options.collection)
            if not options.named_source:
                await refuse_namesakes(promises, sources)
            told = [""] * len(sources)
            if options.listing is None:  # else it was told as that began
                told = await notices(
                    self._settings, options.collection, promises, sources, self._say
                )
            return [
                Producer(
                    redis,
                    self._settings,
                    source,
                    options.collection,
                    deletions=options.deletions,
                    listing=options.listing,
                    budgets=budgets,
                    verify_contents=options.verify_contents,
                    notice=notice,
                )
                for source, notice in zip(sources, told, strict=True)
            ]

        return await self.produce(producers)

    async def produce(
        self, make: Callable[[Redis], Coroutine[Any, Any, Sequence[Production]]]
    ) -> list[Summary]:
        """Run productions one after the other, and wait until all that they brought is through.

        Args:
            make: makes them, once the servers have answered; given a patient client, which is
                closed at the end.

        Raises:
            CancelledJobError: a job was cancelled from elsewhere.
            GuardError: a production held something back; all else is done.
            UnreachableError: a server does not answer.
            UsageError: configuration or collection do not fit.
        """
        async with AsyncExitStack() as stack:
            redis = connect(
                self._settings,
                patience_seconds=self._settings.outage_patience_seconds,
                on_trouble=outage_teller(self._session, self._say),
            )
            stack.push_async_callback(redis.aclose)
            stack.enter_context(translated(self._settings))
            app = make_app(self._settings)
            stack.push_async_callback(asyncio.to_thread, app.close)
            await self._check(redis)
            watch = await stack.enter_async_context(self._watching(redis, app))
            productions = await watch.patiently(make(redis))
            summaries = [await self._follow(redis, app, watch, item) for item in productions]
            if self._session.is_local:
                await flush_collection(self._settings, self._options.collection)
        return summaries

    async def _check(self, redis: Redis) -> None:
        embedder = make_embedder(self._settings)
        try:
            model = await prepare_collection(
                redis, self._settings, self._options.collection, embedder, say=self._say
            )
            self.dimension = model.dimension
        finally:
            await embedder.aclose()

    @asynccontextmanager
    async def _watching(self, redis: Redis, app: Celery) -> AsyncIterator[Watch]:
        """Sweep while the block lasts, and stop in order the workers that were started in it."""
        workforce = Workforce(self._session)
        sweeper = asyncio.create_task(keep_sweeping(redis, app, self._settings))
        try:
            if self._options.stays:
                workforce.start()
            yield Watch(
                redis,
                self._session,
                self._options.collection,
                workforce,
                on_progress=self._on_progress,
                say=self._say,
            )
        except (TransientError, RedisError):
            require_servers(self._session)
            raise
        except asyncio.CancelledError:
            if workforce.is_working:
                seconds = self._settings.drain_seconds
                self._say(f"stopping: batches in flight may end first, {seconds:g} s at most")
            raise
        finally:
            await workforce.stop()
            await end(sweeper)

    async def _follow(
        self, redis: Redis, app: Celery, watch: Watch, production: Production
    ) -> Summary:
        """Run one production to its end, and sum up."""
        begun = time.monotonic()
        await watch.patiently(production.begin())
        self._on_job(production.job)
        task = asyncio.create_task(production.run(app))
        try:
            jobs = await watch.follow(
                production.job, production.tally, task, detach=self._options.detach
            )
        finally:
            await end(task)
        if not self._options.detach:
            missing = production.tally.promised - jobs[0].documents_settled
            if missing > 0:
                raise forgotten(str(missing))
        ended = "budget reached" if production.tally.held else "done"
        state = "detached" if self._options.detach else ended
        seconds = time.monotonic() - begun
        letters = await watch.patiently(self._letters(redis, jobs))
        price = price_of(self._settings)
        return summarise(jobs[0], letters, production.tally, seconds, state, price)

    async def _letters(self, redis: Redis, jobs: Sequence[Job]) -> list[DeadLetter]:
        """Read what became of documents that workers could not ingest, without their texts."""
        if not any(job.count("documents_failed") for job in jobs):
            return []
        names = {job.id for job in jobs}
        letters = Ledger(redis, self._options.collection).letters
        found = {
            letter.document_id: replace(letter, payload=b"")
            async for letter in letters.scan()
            if letter.job in names and letter.version
        }
        return list(found.values())
