"""Random interleavings of producers, workers, janitors, crashes and copies against a model."""

import asyncio
import itertools
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from contract.ledger.control import Halt, JobControl
from contract.ledger.ledger import Ledger
from tests.contract.ledger.machine_janitor import Janitor, end_quarantine
from tests.contract.ledger.machine_judge import Judge
from tests.contract.ledger.machine_producers import Producer, Replay
from tests.contract.ledger.machine_rest import come_to_rest
from tests.contract.ledger.worker_model import Worker
from tests.contract.ledger.world import CONTENTS, FLAKY, GONE, POISON, World
from tests.servers.redis import RedisServer

DOCUMENTS = ("d0", "d1", "d2")
LATEST_JOBS = 4
LATEST_BATCHES = 8
REFUSALS = ((POISON,), (POISON,), (POISON, FLAKY), ())

T = TypeVar("T")


def draw_one(data: st.DataObject, found: Sequence[T]) -> T:
    """Draw one by its place: what hangs on the clock is another at each replay."""
    return found[data.draw(st.integers(0, len(found) - 1))]


class LedgerMachine(RuleBasedStateMachine):
    """The ledger, a Milvus that is a dict, and a model that knows what must be in it."""

    def __init__(self, url: str) -> None:
        """Begin with an empty server."""
        super().__init__()
        self.runner = asyncio.Runner()
        self.redis: Redis = Redis.from_url(url)
        self.ledger = Ledger(self.redis, "books")
        self.control = JobControl(self.redis, "books")
        self.world = World()
        self.judge = Judge(self.redis, self.ledger, self.world)
        self.producers: list[Producer] = []
        self.workers: list[Worker] = []
        self.janitors: list[Janitor] = []
        self.owners = (f"w{number}." for number in itertools.count())
        self.run(self.empty())

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Wait for a call, in the one loop of this machine."""
        return self.runner.run(call)

    async def empty(self) -> None:
        """Take away what the example before has left."""
        await self.redis.flushall()
        await self.redis.hset(self.ledger.keys.meta, "built", "1")

    # --- the source

    @rule(
        document=st.sampled_from(DOCUMENTS),
        content=st.sampled_from((*sorted(CONTENTS), "good", "better", GONE)),
    )
    def change(self, document: str, content: str) -> None:
        """Write a file, or delete it."""
        if content == GONE:
            self.world.files.pop(document, None)
            self.world.unreadable.discard(document)
        else:
            self.world.files[document] = content

    @precondition(lambda self: self.world.files)
    @rule(data=st.data())
    def lock(self, data: st.DataObject) -> None:
        """Make a file unreadable, or readable again."""
        self.world.unreadable ^= {data.draw(st.sampled_from(sorted(self.world.files)))}

    # --- producers

    @rule(
        batch_parts=st.integers(1, 3), calls=st.integers(1, 2), steps=st.sampled_from((99, 99, 5))
    )
    def produce(self, batch_parts: int, calls: int, steps: int) -> None:
        """Begin an import, next to those that run."""
        producer = Producer(self.ledger, self.world, batch_parts=batch_parts, calls=calls)
        self.producers.append(producer)
        self.let_produce(producer, steps)

    @rule(data=st.data(), accept=st.booleans(), calls=st.integers(1, 2), steps=st.integers(1, 9))
    def replay(self, data: st.DataObject, accept: bool, calls: int, steps: int) -> None:  # noqa: FBT001 - drawn
        """Replay or accept a dead letter."""
        letters = self.run(self.judge.letters()).values()
        found = [letter for letter in letters if letter.version]
        if found:
            dead = draw_one(data, found)
            replay = Replay(self.ledger, self.world, dead, accept=accept, calls=calls)
            self.producers.append(replay)
            self.let_produce(replay, steps)

    @precondition(lambda self: self.producers)
    @rule(data=st.data(), steps=st.integers(1, 12))
    def go_on_producing(self, data: st.DataObject, steps: int) -> None:
        """Let a producer go on."""
        self.let_produce(draw_one(data, self.producers), steps)

    def let_produce(self, producer: Producer, steps: int) -> None:
        """Let a producer do so many steps, or all it has."""
        for _ in range(steps):
            left = self.run(producer.step())
            self.run(self.judge.compare_readings())
            self.run(self.judge.compare_letter_counts())
            if not left:
                self.producers.remove(producer)
                return

    @precondition(lambda self: self.producers)
    @rule(data=st.data())
    def kill_producer(self, data: st.DataObject) -> None:
        """Kill a producer wherever it is."""
        self.producers.remove(draw_one(data, self.producers))

    @precondition(lambda self: self.world.batches)
    @rule(data=st.data())
    def publish_late(self, data: st.DataObject) -> None:
        """Let a batch be published by one who was slow, or once more."""
        batch = draw_one(data, self.world.batches[-LATEST_BATCHES:])
        self.world.publish(batch)
        self.run(self.ledger.publish([batch]))

    # --- workers

    @precondition(lambda self: self.world.batches)
    @rule(
        data=st.data(),
        lease_seconds=st.sampled_from((0.0, 60.0)),
        refused=st.sampled_from(REFUSALS),
        splits=st.sampled_from((False, False, False, True)),
        calls=st.integers(1, 2),
        steps=st.integers(1, 12),
    )
    def deliver(
        self,
        data: st.DataObject,
        lease_seconds: float,
        refused: tuple[str, ...],
        splits: bool,  # noqa: FBT001 - drawn
        calls: int,
        steps: int,
    ) -> None:
        """Deliver a message, maybe a copy of one; a lease of 0 s has run out at once."""
        worker = Worker(
            self.ledger,
            self.world,
            draw_one(data, self.world.batches[-LATEST_BATCHES:]).id,
            next(self.owners),
            lease_seconds=lease_seconds,
            refused=refused,
            splits=splits,
            calls=calls,
        )
        self.workers.append(worker)
        self.let_work(worker, steps)

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), steps=st.integers(1, 12))
    def work(self, data: st.DataObject, steps: int) -> None:
        """Let a worker go on, even one whose lease is lost."""
        self.let_work(draw_one(data, self.workers), steps)

    def let_work(self, worker: Worker, steps: int) -> None:
        """Let a worker do so many steps, or all it has."""
        for _ in range(steps):
            left = self.run(worker.step())
            self.run(self.judge.compare_letter_counts())
            if not left:
                self.workers.remove(worker)
                return

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), how=st.sampled_from(("kill", "kill and sweep", "give back")))
    def stop(self, data: st.DataObject, how: str) -> None:
        """Kill a worker wherever it is, or let it give its batch back."""
        worker = draw_one(data, self.workers)
        self.workers.remove(worker)
        if how == "kill and sweep":
            self.run(self.ledger.sweep(silent_owner=worker.owner))
        if how == "give back":
            self.run(self.ledger.release(worker.batch_id, worker.owner, failed=True))

    @precondition(lambda self: self.workers)
    @rule()
    def sweep(self) -> None:
        """Take the batches of workers that are only slow; from now on they have no lease."""
        self.run(self.ledger.sweep(silent_owner="w"))

    # --- people, janitors

    @precondition(lambda self: self.world.jobs)
    @rule(data=st.data(), halt=st.sampled_from(Halt))
    def halt(self, data: st.DataObject, halt: Halt) -> None:
        """Pause, resume or cancel a job."""
        job = draw_one(data, self.world.jobs[-LATEST_JOBS:])
        done = self.run(self.control.halt(job, halt))
        if done and halt is Halt.CANCELLED:
            self.world.cancelled.add(job)

    @rule(calls=st.integers(1, 2), first=st.integers(0, 2), steps=st.integers(1, 12))
    def clear(self, calls: int, first: int, steps: int) -> None:
        """Let a janitor begin; maybe it dies soon, and maybe there is another."""
        self.janitors.append(Janitor(self.ledger, self.world, calls=calls, first=first))
        self.go_on_clearing(steps)

    @precondition(lambda self: self.janitors)
    @rule(steps=st.integers(1, 12))
    def go_on_clearing(self, steps: int) -> None:
        """Let the oldest janitor go on."""
        for _ in range(steps):
            if not self.run(self.janitors[0].step()):
                self.janitors.pop(0)
                return

    @precondition(lambda self: self.janitors)
    @rule()
    def kill_janitor(self) -> None:
        """Kill the oldest janitor."""
        self.janitors.pop(0)

    @precondition(lambda self: not any(worker.armed for worker in self.workers))
    @rule()
    def end_quarantine(self) -> None:
        """Let the quarantine pass: by then nobody stands between his look and his write."""
        self.run(end_quarantine(self.ledger, self.world))

    # --- rest

    @rule(really=st.sampled_from((False, False, False, True)))
    def pause(self, really: bool) -> None:  # noqa: FBT001 - drawn
        """Come to rest now and then, not only at the end."""
        if really:
            self.rest()

    def rest(self) -> None:
        """Let everything come to an end, and compare."""
        zombies = [worker for worker in self.workers if worker.armed]
        for some in (self.workers, self.producers, self.janitors):
            some.clear()
        self.world.unreadable.clear()
        self.run(come_to_rest(self.ledger, self.world, self.owners, zombies))
        self.run(self.judge.compare_at_rest())

    def teardown(self) -> None:
        """Every example ends at rest, unless it has failed before."""
        try:
            if sys.exc_info()[0] is None:
                self.rest()
        finally:
            self.run(self.redis.aclose())
            self.runner.close()


def let_run(server: RedisServer, examples: int, steps: int) -> None:
    """Try so many interleavings."""

    class Machine(LedgerMachine):
        def __init__(self) -> None:
            super().__init__(server.url)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(600)  # Hypothesis shrinks a failure for up to 300 s
def test_whatever_happens_only_the_newest_version_stays(redis_server: RedisServer) -> None:
    """At rest Milvus holds the newest version of each document, and every counter agrees."""
    let_run(redis_server, 150, 40)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_whatever_happens_for_long(redis_server: RedisServer) -> None:
    """The same, longer and more often."""
    let_run(redis_server, 300, 80)
