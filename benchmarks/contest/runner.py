"""One run of any way: a new collection, the run, and a count of what is there."""

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.contest.job import Job
from benchmarks.contest.peer_run import run_peer
from benchmarks.contest.result import Run, rows_error, whole_rate
from benchmarks.contest.ways import Way
from contract.errors import UnreachableError
from headrace.bench.cpu import read_named
from headrace.bench.import_run import run_import
from headrace.bench.preparation import MODEL, Prepared
from headrace.bench.seed.langchain_ways import count_rows
from tests.servers.endpoint import FakeEndpoint


class Runner:
    """Runs ways on one set of servers, documents and chunks.

    Attributes:
        versions: of each peer's libraries, as its programs have said so far.
    """

    def __init__(
        self,
        ready: Prepared,
        chunks: Path,
        pythons: Mapping[str, Path],
        *,
        sample: int,
        limit_seconds: float,
    ) -> None:
        """Run nothing yet.

        Args:
            ready: servers and documents.
            chunks: the file of the chunks.
            pythons: of the peers' environments, by peer.
            sample: how many chunks a sampled way brings in.
            limit_seconds: for a peer's program.
        """
        self._ready = ready
        self._chunks = chunks
        self._pythons = pythons
        self._sample = min(sample, ready.chunks)
        self._limit_seconds = limit_seconds
        rig = ready.rig
        self._endpoint = FakeEndpoint(
            rig.settings.embedding_base_url or "", rig.server_pids["endpoint"]
        )
        self.versions: dict[str, Mapping[str, str]] = {}

    async def run(self, way: Way) -> Run:
        """Run a way once.

        Raises:
            HeadraceError: it failed, or a server did.
            ValueError: it printed nonsense.
            TimeoutError: it did not end in time.
        """
        rig = self._ready.rig
        async with self._ready.throwaway.collection("way") as name:
            self._endpoint.reset()
            before = read_named(rig.server_pids)
            run, collection = await (self._peer(way, name) if way.peer else self._headrace(name))
            after = read_named(rig.server_pids)
            error = rows_error(count_rows(rig.client, collection), run.chunks)
        if error:
            raise UnreachableError(error)
        used = {server: after[server] - before[server] for server in before if server in after}
        return dataclasses.replace(run, server_cpu_seconds=used)

    async def _headrace(self, name: str) -> tuple[Run, str]:
        begun = time.monotonic()
        seen = await run_import(self._ready.rig, name)
        seconds = time.monotonic() - begun
        if seen.chunks != self._ready.chunks:
            raise UnreachableError(f"{seen.chunks:,} chunks written, not {self._ready.chunks:,}")
        run = Run(
            chunks=seen.chunks,
            rate=seen.rate,
            whole_rate=seen.chunks / seconds,
            cpu_seconds=seen.cpu_seconds,
            start_cpu_seconds=seen.start_cpu_seconds,
            requests=self._requests(),
        )
        return run, name

    async def _peer(self, way: Way, name: str) -> tuple[Run, str]:
        settings = self._ready.rig.settings
        job = Job(
            way=way.call,
            options=way.options,
            chunks=str(self._chunks),
            sample=self._sample if way.is_sampled else 0,
            # What begins so is dropped with the throwaway name.
            collection=f"{name}_1",
            milvus_uri=settings.milvus_uri or "",
            endpoint_url=self._endpoint.url,
            model=MODEL,
            dimensions=settings.embedding_dimensions or 0,
        )
        python = self._pythons[way.peer]
        scratch = self._ready.rig.scratch
        seen = await run_peer(python, way.peer, job, scratch, self._limit_seconds)
        outcome = seen.outcome
        self.versions[way.peer] = outcome.versions
        run = Run(
            chunks=outcome.chunks,
            rate=outcome.chunks / outcome.seconds,
            whole_rate=whole_rate(
                outcome.chunks, self._ready.chunks, seen.seconds, outcome.seconds
            ),
            cpu_seconds=outcome.cpu_seconds,
            start_cpu_seconds=seen.cpu_seconds - outcome.cpu_seconds,
            requests=self._requests(),
        )
        return run, job.collection

    def _requests(self) -> int:
        return int(self._endpoint.stats()["requests"])
