"""One document on its way through the ledger, for tests that tell a story about it."""

from typing import TypedDict, Unpack

from redis.asyncio import Redis

from contract.batch import Batch
from contract.ids import chunk_ids
from contract.ledger.jobs import Job, Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import DeadLetter, Outcome, Promise, Registered
from tests.contract.ledger.worker_model import Worker
from tests.contract.ledger.world import CONTENTS, SOURCE, Version, World, parts_of

PROMISED = {Outcome.NEW, Outcome.CHANGED, Outcome.DELETED}


class Options(TypedDict, total=False):
    """What a promise may say besides its content."""

    reading: int
    unseen_since: int
    only_wanted: bool


def promise(document: str, content: str, **options: Unpack[Options]) -> Promise:
    """Make a promise."""
    return Promise(
        document_id=document,
        source=SOURCE,
        key_bytes=document.encode(),
        content_hash=content,
        chunk_count=len(CONTENTS[content]),
        **options,
    )


class Shelf:
    """One document, the jobs that bring its versions, and the workers that write them."""

    def __init__(self, redis: Redis) -> None:
        """Begin with an empty ledger."""
        self.redis = redis
        self.ledger = Ledger(redis, "books")
        self.jobs = Jobs(redis, "books")
        self.world = World()
        self.workers = 0

    async def register(
        self,
        content: str,
        job: str | None = None,
        document: str = "d0",
        **options: Unpack[Options],
    ) -> Registered:
        """Promise a content, for a new job unless one is named."""
        job = job or await self.jobs.create(SOURCE)
        (registered,) = await self.ledger.promises.register(
            job, [promise(document, content, **options)]
        )
        before = self.world.wanted.get(document)
        if registered.outcome in PROMISED and (
            before is None or before.number != registered.version
        ):
            version = Version(registered.version, content, job, CONTENTS[content])
            self.world.promise(document, version)
        return registered

    async def publish(
        self, registered: Registered, content: str, document: str = "d0"
    ) -> list[Batch]:
        """Publish each part as a batch of its own."""
        batches = [
            Batch(collection="books", job=registered.job, parts=(part,))
            for part in parts_of(document, registered.version, content)
        ]
        for batch in batches:
            self.world.publish(batch)
        await self.ledger.publish(batches)
        return batches

    async def promise(self, content: str, document: str = "d0") -> tuple[Registered, list[Batch]]:
        """Register and publish."""
        registered = await self.register(content, document=document)
        return registered, await self.publish(registered, content, document)

    def worker(self, batch: Batch, lease_seconds: float = 60.0) -> Worker:
        """Make a worker that has not begun."""
        self.workers += 1
        owner = f"w{self.workers}."
        return Worker(self.ledger, self.world, batch.id, owner, lease_seconds=lease_seconds)

    async def ingest(self, *batches: Batch) -> None:
        """Bring batches to their end, one after the other."""
        for batch in batches:
            await self.worker(batch).run()

    async def commit(self, content: str, document: str = "d0") -> Registered:
        """Bring a content to its end."""
        registered, batches = await self.promise(content, document)
        await self.ingest(*batches)
        return registered

    async def job(self, registered: Registered) -> Job:
        """Look at the job that promised a version."""
        found = await self.jobs.get(registered.job)
        assert found is not None
        return found

    async def outcome(self, registered: Registered) -> tuple[int, int, int]:
        """Count what became of a job's documents: committed, superseded, failed."""
        job = await self.job(registered)
        ends = ("documents_committed", "documents_superseded", "documents_failed")
        committed, superseded, failed = map(job.count, ends)
        return committed, superseded, failed

    async def letters(self) -> list[DeadLetter]:
        """Give all dead letters."""
        return [found async for found in self.ledger.letters.scan()]

    async def field(self, name: str, document: str = "d0") -> bytes | None:
        """Look into a document."""
        found: bytes | None = await self.redis.hget(self.ledger.keys.document(document), name)  # type: ignore[assignment]
        return found

    def holds(self, *versions: tuple[Registered, str]) -> bool:
        """Tell whether Milvus holds the rows of these versions and no others."""
        return set(self.world.milvus) == {
            row
            for registered, content in versions
            for row in chunk_ids("d0", registered.version, range(len(CONTENTS[content])))
        }
