"""Runs every way in every round, interleaved, and leaves nothing behind."""

import asyncio
import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pymilvus import MilvusException

from benchmarks.contest.documents import copy_first, write_chunks
from benchmarks.contest.environment import interpreter
from benchmarks.contest.report import Report
from benchmarks.contest.result import Round, Run
from benchmarks.contest.runner import Runner
from benchmarks.contest.servers import running_servers
from benchmarks.contest.ways import HEADRACE, Way
from contract.errors import HeadraceError
from contract.settings import Settings
from headrace.bench.preparation import LimitsOptions, Prepared, prepared, with_choices
from headrace.session import Say, Session
from worker.milvus import quiet_libraries

LIBRARIES = ("headrace", "celery", "langchain-milvus", "langchain-openai", "openai", "pymilvus")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to compare.

    Attributes:
        ways: headrace first.
        documents: how many.
        corpus: where they are; None for generated ones.
        rounds: how often each way runs.
        milvus: as ``servers.running_servers`` takes it.
        latency_seconds: of the embedding endpoint.
        dimensions: of its vectors.
        sample: how many chunks a sampled way brings in.
        limit_seconds: for one run of a peer.
        environment: folder of the peers' environments.
        command: how the report says it was called.
    """

    ways: Sequence[Way]
    documents: int
    corpus: Path | None
    rounds: int
    milvus: str
    latency_seconds: float
    dimensions: int
    sample: int
    limit_seconds: float
    environment: Path
    command: str


def compare(settings: Settings, plan: Plan, say: Say) -> Report:
    """Run it all.

    Args:
        settings: how headrace cuts, batches and writes; worker processes and batches in flight.
        plan: what to compare.
        say: takes lines for a person.

    Raises:
        HeadraceError: a server does not start, or there is nothing to import.
        NoServerHereError: the real Milvus server can't run here.
    """
    quiet_libraries()
    with tempfile.TemporaryDirectory(prefix="headrace-peers-") as folder:
        scratch = Path(folder)
        corpus = None
        if plan.corpus is not None:
            corpus = scratch / "documents"
            copy_first(plan.corpus, corpus, plan.documents)
        options = LimitsOptions(
            documents=plan.documents,
            folder=corpus,
            dimensions=plan.dimensions,
            latency_seconds=plan.latency_seconds,
        )
        ours = with_choices(settings, options, scratch / "data").model_copy(
            # Every round embeds every chunk, by every way.
            update={"embedding_cache_url": None}
        )
        with running_servers(ours, plan.milvus, scratch, say) as session:
            return asyncio.run(_compare(session, options, plan, scratch, say))


async def _compare(
    session: Session, options: LimitsOptions, plan: Plan, scratch: Path, say: Say
) -> Report:
    peers = sorted({way.peer for way in plan.ways if way.peer})
    pythons = {peer: await interpreter(plan.environment, peer, say) for peer in peers}
    async with prepared(session, options, scratch) as ready:
        chunks = scratch / "chunks.json"
        write_chunks(ready.rig.batches, chunks)
        runner = Runner(
            ready, chunks, pythons, sample=plan.sample, limit_seconds=plan.limit_seconds
        )
        rounds = Rounds(runner, plan, say)
        load_before = os.getloadavg()[0]
        await rounds.run()
        return _report(ready, plan, rounds, runner.versions, load_before)


class Rounds:
    """Every round runs every way; every other round backwards, as drift then falls on all alike.

    Attributes:
        done: the runs, round by round.
        failures: of ways that are not run any more.
    """

    def __init__(self, runner: Runner, plan: Plan, say: Say) -> None:
        """Run nothing yet."""
        self._runner = runner
        self._plan = plan
        self._say = say
        self.done: list[Round] = []
        self.failures: dict[str, str] = {}

    async def run(self) -> None:
        """Run them all."""
        for number in range(self._plan.rounds):
            runs: dict[str, Run] = {}
            for way in self._plan.ways[:: -1 if number % 2 else 1]:
                if way.name not in self.failures:
                    await self._run(number, way, runs)
            self.done.append(runs)

    async def _run(self, number: int, way: Way, runs: dict[str, Run]) -> None:
        told = f"round {number + 1} of {self._plan.rounds}: {way.name}"
        try:
            run = runs[way.name] = await self._runner.run(way)
        except TimeoutError:
            self.failures[way.name] = f"it took more than {self._plan.limit_seconds:g} s"
        except (HeadraceError, MilvusException, OSError, ValueError) as error:
            self.failures[way.name] = str(error)
        else:
            self._say(f"{told}: {run.rate or 0:,.0f} chunks/s, whole {run.whole_rate:,.0f}")
            return
        self._say(f"{told} failed: {self.failures[way.name]}")


def _report(
    ready: Prepared,
    plan: Plan,
    rounds: Rounds,
    versions: Mapping[str, Mapping[str, str]],
    load_before: float,
) -> Report:
    settings = ready.rig.settings
    facts: dict[str, Any] = {
        "workers": settings.workers,
        "batch_max_chunks": settings.batch_max_chunks,
        "worker_concurrency": settings.worker_concurrency,
        "chunk_size": settings.chunk_size,
        "chunk_unit": settings.chunk_unit,
    }
    machine = {
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "Python": platform.python_version(),
        "load": f"{load_before:.1f} before, {os.getloadavg()[0]:.1f} after",
    }
    return Report(
        command=plan.command,
        servers=f"{plan.milvus} ({ready.rig.client.get_server_version()})",
        documents=ready.documents,
        chunks=ready.chunks,
        dimensions=plan.dimensions,
        latency_seconds=plan.latency_seconds,
        machine=machine,
        headrace=facts,
        ways=plan.ways,
        versions={HEADRACE: {name: version(name) for name in LIBRARIES}, **versions},
        rounds=rounds.done,
        failures=rounds.failures,
    )
