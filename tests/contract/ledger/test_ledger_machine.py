"""Random interleavings of producers, workers, crashes and copies against a plain model."""

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from contract.batch import Batch, Part
from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import Outcome, Promise, Registered
from tests.contract.ledger.worker_model import (
    CONTENTS,
    FLAKY,
    POISON,
    SOURCE,
    Version,
    Worker,
    World,
    parts_of,
)
from tests.servers.redis import RedisServer

DOCUMENTS = ("d0", "d1")
ENDS = ("documents_committed", "documents_superseded", "documents_failed")

T = TypeVar("T")


class LedgerMachine(RuleBasedStateMachine):
    """The ledger, a Milvus that is a dict, and a model that knows what must be in it."""

    def __init__(self, url: str) -> None:
        """Begin with an empty server."""
        super().__init__()
        self.runner = asyncio.Runner()
        self.redis: Redis = Redis.from_url(url)
        self.ledger = Ledger(self.redis, "books")
        self.jobs = Jobs(self.redis, "books")
        self.run(self.empty())
        self.listing = self.run(self.ledger.begin_listing(SOURCE, "/shelf"))
        self.world = World()
        self.job_names: list[str] = []
        self.made: list[Batch] = []  # by producers that are alive
        self.published: list[str] = []
        self.workers: list[Worker] = []
        self.numbers = itertools.count()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Wait for a call, in the one loop of this machine."""
        return self.runner.run(call)

    async def empty(self) -> None:
        """Take away what the example before has left."""
        await self.redis.flushall()

    # --- producers

    @rule(
        wishes=st.dictionaries(
            st.sampled_from(DOCUMENTS), st.sampled_from(sorted(CONTENTS)), min_size=1
        ),
        batch_parts=st.integers(1, 3),
        same_job=st.booleans(),
        published=st.sampled_from((9, 9, 9, 1, 0)),
    )
    def produce(
        self,
        wishes: dict[str, str],
        batch_parts: int,
        same_job: bool,  # noqa: FBT001 - drawn
        published: int,
    ) -> None:
        """Register some documents, and publish some of their batches; the rest may come late."""
        if not (same_job and self.job_names):
            self.job_names.append(self.run(self.jobs.create(SOURCE)))
        job = self.job_names[-1]
        promises = [
            Promise(document, SOURCE, document, content, len(CONTENTS[content]))
            for document, content in wishes.items()
        ]
        found = self.run(self.ledger.register(job, self.listing, promises))
        parts: list[Part] = []
        for promise, registered in zip(promises, found, strict=True):
            if self.is_new(promise, registered):
                parts += parts_of(promise.document_id, registered.version, promise.content_hash)
        made = [
            Batch(collection="books", job=job, parts=tuple(parts[at : at + batch_parts]))
            for at in range(0, len(parts), batch_parts)
        ]
        self.made += made
        for batch in made[:published]:
            self.publish(batch)

    def is_new(self, promise: Promise, registered: Registered) -> bool:
        """Compare the ledger's answer with the model's, and tell whether there is work."""
        document, content = promise.document_id, promise.content_hash
        before = self.world.wanted.get(document)
        if before and before.content == content and before.is_published and not before.is_dead:
            assert registered.outcome in {Outcome.UNCHANGED, Outcome.PENDING}
            assert registered.version == before.number
            return False
        assert registered.outcome in {Outcome.NEW, Outcome.CHANGED}
        if before is None or registered.version != before.number:
            assert before is None or registered.version > before.number
            self.world.promise(document, Version(registered.version, content))
        return True

    def publish(self, batch: Batch) -> None:
        """Publish a batch."""
        self.world.publish(batch)
        assert self.run(self.ledger.publish([batch])) == [batch.id]
        self.published.append(batch.id)

    @precondition(lambda self: self.made)
    @rule(data=st.data())
    def publish_late(self, data: st.DataObject) -> None:
        """Let a slow producer publish a batch, or publish one again."""
        self.publish(data.draw(st.sampled_from(self.made[-6:])))

    # --- workers

    @precondition(lambda self: self.published)
    @rule(
        data=st.data(),
        lease_seconds=st.sampled_from((0.0, 60.0)),
        refused=st.sampled_from(((POISON,), (POISON, FLAKY))),
        steps=st.integers(1, 12),
    )
    def deliver(
        self, data: st.DataObject, lease_seconds: float, refused: tuple[str, ...], steps: int
    ) -> None:
        """Deliver a message, maybe a copy of one; a lease of 0 s has run out at once."""
        batch_id = data.draw(st.sampled_from(self.published[-6:]))
        owner = f"w{next(self.numbers)}."
        worker = Worker(
            self.ledger, self.world, batch_id, owner, lease_seconds=lease_seconds, refused=refused
        )
        self.workers.append(worker)
        self.let_work(worker, steps)

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), steps=st.integers(1, 12))
    def work(self, data: st.DataObject, steps: int) -> None:
        """Let a worker go on."""
        self.let_work(data.draw(st.sampled_from(self.workers)), steps)

    def let_work(self, worker: Worker, steps: int) -> None:
        """Let a worker do so many steps, or all it has."""
        for _ in range(steps):
            if not self.run(worker.step()):
                self.workers.remove(worker)
                return

    @precondition(lambda self: any(not worker.must_live for worker in self.workers))
    @rule(data=st.data(), how=st.sampled_from(("kill", "kill and sweep", "give back")))
    def stop(self, data: st.DataObject, how: str) -> None:
        """Kill a worker wherever it is, or let it give its batch back."""
        mortal = [worker for worker in self.workers if not worker.must_live]
        worker = data.draw(st.sampled_from(mortal))
        self.workers.remove(worker)
        if how == "kill and sweep":
            self.run(self.ledger.sweep(silent_owner=worker.owner))
        if how == "give back":
            self.run(self.ledger.release(worker.batch_id, worker.owner, failed=True))

    # --- what must hold

    @rule(really=st.sampled_from((False, False, False, True)))
    def pause(self, really: bool) -> None:  # noqa: FBT001 - drawn
        """Come to rest now and then, not only at the end."""
        if really:
            self.rest()

    def rest(self) -> None:
        """Let everything come to an end, and compare."""
        for worker in self.workers:
            if worker.must_live:
                self.run(worker.run())
        self.workers.clear()
        for document, version in list(self.world.wanted.items()):
            if not version.is_published:
                self.produce({document: version.content}, 2, same_job=False, published=9)
        self.made.clear()
        while oldest := self.run(self.ledger.sweep(grace_seconds=0, silent_owner="w")).oldest:
            for batch_id in oldest:
                owner = f"w{next(self.numbers)}."
                self.run(Worker(self.ledger, self.world, batch_id, owner).run())
        assert all(version.is_done for version in self.world.wanted.values())
        assert self.world.milvus == self.world.rows()
        self.run(self.compare_counters())
        self.run(self.compare_keys())

    async def compare_counters(self) -> None:
        """Nothing is left to do, and every promise has come to one end."""
        totals = await self.ledger.totals()
        assert (totals.batches, totals.chunks, totals.bytes) == (0, 0, 0)
        for name in self.job_names:
            job = await self.jobs.get(name)
            assert job is not None
            assert job.count("batches_finished") == job.count("batches_published")
            promised = job.count("documents_new") + job.count("documents_changed")
            assert promised == sum(map(job.count, ENDS))

    async def compare_keys(self) -> None:
        """No key or field of finished work is left."""
        keys, wanted = self.ledger.keys, self.world.wanted
        assert not [key async for key in self.redis.scan_iter(keys.batch("*"))]
        assert not await self.redis.exists(keys.waiting, keys.leased)
        dead = {document for document, version in wanted.items() if version.is_dead}
        poisoned = {document for document in dead if wanted[document].content == "poisoned"}
        assert poisoned <= {letter.document_id for letter in await self.ledger.dead_letters()}
        for document in wanted:
            state: dict[bytes, bytes] = await self.redis.hgetall(keys.document(document))  # type: ignore[assignment]
            assert state[b"older"] == b""
            left = {name.partition(b":")[0] for name in state} & {b"part", b"letter"}
            assert document in dead or not left
        deleted = {document for document, version in wanted.items() if version.content == "deleted"}
        indexed: list[bytes] = await self.redis.zrange(keys.source(SOURCE), 0, -1)  # type: ignore[assignment]
        assert {member.decode() for member in indexed} == set(wanted) - deleted

    def teardown(self) -> None:
        """Every example ends at rest."""
        try:
            self.rest()
        finally:
            self.run(self.redis.aclose())
            self.runner.close()


def test_whatever_happens_only_the_newest_version_stays(redis_server: RedisServer) -> None:
    """At rest Milvus holds the newest version of each document, and every counter agrees."""

    class Machine(LedgerMachine):
        def __init__(self) -> None:
            super().__init__(redis_server.url)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
