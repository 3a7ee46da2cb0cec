"""One document on its way through the ledger, for tests that tell a story about it."""

from redis.asyncio import Redis

from contract.batch import Batch
from contract.ids import chunk_ids
from contract.ledger.jobs import Job, Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import Promise, Registered
from tests.contract.ledger.worker_model import CONTENTS, SOURCE, Worker, World, parts_of


class Shelf:
    """One document, the jobs that bring its versions, and the workers that write them."""

    def __init__(self, redis: Redis) -> None:
        """Begin with an empty ledger."""
        self.ledger = Ledger(redis, "books")
        self.jobs = Jobs(redis, "books")
        self.world = World()
        self.workers = 0

    async def register(
        self, content: str, job: str | None = None, document: str = "d0"
    ) -> Registered:
        """Promise a content, for a new job unless one is named."""
        job = job or await self.jobs.create(SOURCE)
        promise = Promise(document, SOURCE, document, content, len(CONTENTS[content]))
        (registered,) = await self.ledger.register(job, 1, [promise])
        return registered

    async def publish(self, registered: Registered, content: str) -> list[Batch]:
        """Publish each part as a batch of its own."""
        batches = [
            Batch(collection="books", job=registered.job, parts=(part,))
            for part in parts_of("d0", registered.version, content)
        ]
        await self.ledger.publish(batches)
        return batches

    async def promise(self, content: str) -> tuple[Registered, list[Batch]]:
        """Register and publish."""
        registered = await self.register(content)
        return registered, await self.publish(registered, content)

    def worker(self, batch: Batch, lease_seconds: float = 60.0) -> Worker:
        """Make a worker that has not begun."""
        self.workers += 1
        owner = f"w{self.workers}."
        return Worker(self.ledger, self.world, batch.id, owner, lease_seconds=lease_seconds)

    async def ingest(self, *batches: Batch) -> None:
        """Bring batches to their end, one after the other."""
        for batch in batches:
            await self.worker(batch).run()

    async def commit(self, content: str) -> Registered:
        """Bring a content to its end."""
        registered, batches = await self.promise(content)
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

    def holds(self, *versions: tuple[Registered, str]) -> bool:
        """Tell whether Milvus holds the rows of these versions and no others."""
        return set(self.world.milvus) == {
            row
            for registered, content in versions
            for row in chunk_ids("d0", registered.version, range(len(CONTENTS[content])))
        }
