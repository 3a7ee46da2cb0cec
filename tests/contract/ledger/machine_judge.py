"""What must hold of the ledger and of Milvus, held against the model."""

from collections import Counter

from redis.asyncio import Redis

from contract.ledger.counters import Counters
from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import DeadLetter
from tests.contract.ledger.machine_producers import stamp_of
from tests.contract.ledger.world import GONE, SOURCE, World

PROMISED = ("documents_new", "documents_changed", "documents_deleted")
ENDS = (
    "documents_committed",
    "documents_superseded",
    "documents_failed",
    "documents_cancelled",
)


class Judge:
    """Compares what there is with what there should be."""

    def __init__(self, redis: Redis, ledger: Ledger, world: World) -> None:
        """Be ready to judge."""
        self.redis = redis
        self.ledger = ledger
        self.jobs = Jobs(redis, ledger.collection)
        self.world = world

    async def compare_readings(self) -> None:
        """Of two who have read a document, the later one's content is the wanted one."""
        for document, (_, content) in self.world.read.items():
            wanted = await self.redis.hget(self.ledger.keys.document(document), "hash")
            assert wanted == content.encode()

    async def letters(self) -> dict[str, DeadLetter]:
        """Give all dead letters, in order."""
        found = {dead.document_id: dead async for dead in self.ledger.letters.scan()}
        return dict(sorted(found.items()))

    async def compare_at_rest(self) -> None:
        """Look at everything, when all has come to an end."""
        self._compare_rows()
        await self._compare_counters()
        await self.compare_letter_counts()
        await self._compare_keys()

    def _compare_rows(self) -> None:
        """Milvus holds the newest version of each file, and nothing else."""
        wanted = self.world.wanted
        assert {d: v.content for d, v in wanted.items() if v.content != GONE} == self.world.files
        assert all(version.is_done for version in wanted.values())
        assert self.world.milvus == self.world.rows()

    async def _compare_counters(self) -> None:
        """Nothing is left to do, and every promise has come to one end."""
        totals = await self.ledger.totals()
        assert (totals.batches, totals.chunks, totals.bytes) == (0, 0, 0)
        jobs = {job.id: job for job in await self.jobs.latest(1_000)}
        assert jobs.keys() == set(self.world.jobs)
        for job in map(jobs.__getitem__, self.world.jobs):
            assert job.count("batches_finished") == job.count("batches_published")
            assert sum(map(job.count, PROMISED)) == sum(map(job.count, ENDS))
            assert (job.halt == "cancelled") == (job.id in self.world.cancelled)
        sums = sum((Counter(job.counts) for job in jobs.values()), Counter[str]())
        counted = {name: n for name, n in sums.items() if not name.startswith("batches_")}
        counters = (await Counters(self.redis, self.ledger.collection).by_source()).get(SOURCE, {})
        assert {n: v for n, v in counters.items() if not n.endswith("_ms")} == counted

    async def compare_letter_counts(self) -> None:
        """Each dead letter is counted by its reason, and was written once."""
        letters = Counter(letter.reason for letter in (await self.letters()).values())
        counts = await self.ledger.letters.counts()
        assert {reason: n for reason, n in counts.now.items() if n} == dict(letters)
        assert all(counts.written[reason] >= n for reason, n in letters.items())

    async def _compare_keys(self) -> None:
        """No key or field of finished work is left."""
        keys, wanted = self.ledger.keys, self.world.wanted
        for pattern in (keys.batch("*"), keys.open("*"), keys.parked("*")):
            assert not [key async for key in self.redis.scan_iter(pattern)]
        assert not await self.redis.exists(keys.waiting, keys.leased, keys.cancelled, keys.graves)
        dead = {document for document, version in wanted.items() if version.is_dead}
        letters = await self.letters()
        assert {d: found.version for d, found in letters.items()} == {
            document: wanted[document].number for document in dead
        }
        for document, version in wanted.items():
            state: dict[bytes, bytes] = await self.redis.hgetall(keys.document(document))  # type: ignore[assignment]
            assert state[b"older"] == b""
            assert state.get(b"stamp", b"") in {b"", stamp_of(state[b"hash"].decode()).encode()}
            assert not {name.partition(b":")[0] for name in state} & {b"part", b"death"}
            assert (await self.redis.ttl(keys.document(document)) > 0) == (version.content == GONE)
        indexed: list[bytes] = await self.redis.zrange(keys.source(SOURCE), 0, -1)  # type: ignore[assignment]
        assert {member.decode() for member in indexed} == set(self.world.files)
        twins: dict[bytes, bytes] = await self.redis.hgetall(keys.twins)  # type: ignore[assignment]
        for content, twin in twins.items():
            held = await self.redis.hget(keys.document(twin.decode()), "committed_hash")
            assert held == content
