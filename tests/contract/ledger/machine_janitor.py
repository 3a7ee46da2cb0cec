"""A janitor that does one step at a time; it may be killed after any of them."""

from collections.abc import AsyncIterator, Iterable

from contract.ids import chunk_ids
from contract.ledger.control import JobControl
from contract.ledger.graves import Graves
from contract.ledger.ledger import Ledger
from contract.ledger.records import Rows
from tests.contract.ledger.world import World

SOME = 2
ALL = 9
ROUNDS = 9


class Janitor:
    """Clears up after cancelled jobs."""

    def __init__(self, ledger: Ledger, world: World, *, calls: int = 1, first: int = 0) -> None:
        """Be ready for the first step.

        Args:
            ledger: of the collection.
            world: holds the rows.
            calls: 2 for one whose first answers are lost, so that it calls again.
            first: place of the document that it begins with.
        """
        self.ledger = ledger
        self.world = world
        self.calls = calls
        self.first = first
        self._control = JobControl(ledger.redis, ledger.collection)
        self._steps = self._procedure()

    async def step(self) -> bool:
        """Do one step; False when it was the last."""
        return await anext(self._steps, self) is None

    async def run(self) -> None:
        """Do all steps that are left."""
        while await self.step():
            pass

    async def _procedure(self) -> AsyncIterator[None]:
        jobs = await self._control.cancelled_jobs()
        for job in sorted(jobs, key=self.world.jobs.index):
            for _ in range(ROUNDS):
                if await self._control.cleared(job):
                    break
                # Redis takes some at random; a replay of the test must take the same.
                documents = sorted(await self._control.open_documents(job, ALL))
                documents = (documents[self.first :] + documents[: self.first])[:SOME]
                yield
                self.world.abandon(job, documents)
                for _ in range(self.calls):
                    rows = await self._control.abandon(job, documents)
                yield
                delete(self.world, rows)
                yield
                for _ in range(self.calls):
                    await self._control.abandoned(job, documents)
                yield


def delete(world: World, rows: Iterable[Rows]) -> None:
    """Delete the rows of versions."""
    for version in rows:
        world.delete(chunk_ids(version.document_id, version.version, range(version.count)))


async def end_quarantine(ledger: Ledger, world: World) -> None:
    """Let the time of all graves be over, and delete what is in them once more."""
    graves = Graves(ledger.redis, ledger.collection)
    members: list[bytes] = await ledger.redis.zrange(ledger.keys.graves, 0, -1)  # type: ignore[assignment]
    if members:
        await ledger.redis.zadd(ledger.keys.graves, dict.fromkeys(members, 0))
    while rows := await graves.due(SOME):
        delete(world, rows)
        await graves.close(rows)
    assert await graves.count() == 0
