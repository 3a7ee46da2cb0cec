"""Measures the tutorial's table beside the pipeline, and leaves nothing behind."""

import asyncio
import os
import platform
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from pymilvus import MilvusClient

from contract.errors import TransientError
from contract.settings import Settings, address
from headrace.bench.endpoint_process import running_endpoint
from headrace.bench.seed.langchain_ways import GatherWay, LoopWay
from headrace.bench.seed.model import Model, with_endpoint
from headrace.bench.seed.operation import Operation, Way, WayName, documents
from headrace.bench.seed.options import SeedOptions
from headrace.bench.seed.pipeline_way import PipelineWay, terms_of
from headrace.bench.seed.table import Cell, Table
from headrace.bench.throwaway import PREFIX, drop_collections
from headrace.search import as_wrong_use
from headrace.session import Say, open_session, worker_environment
from worker.embedding.build import make_embedder
from worker.milvus import connect, quiet_libraries, translated

WARM_UP = 10
"""Operations of each kind and way before the first round."""
LIBRARIES = ("headrace", "langchain-milvus", "langchain-openai", "openai", "pymilvus")


def measure(settings: Settings, options: SeedOptions, say: Say) -> Table:
    """Do every operation in every way, in every round.

    Args:
        settings: the Milvus server if one is configured, else an embedded one is started in a
            folder of its own; key of the embedding endpoint, if ``options`` name one.
        options: what to measure.
        say: takes lines for a person.

    Raises:
        UsageError: something is configured that does not fit, or model or Milvus refuse it.
        TransientError: a server does not answer, or did not do what it said it had done.
    """
    quiet_libraries()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-bench-")))
        is_embedded = settings.milvus_uri is None
        if is_embedded:
            alone = {"redis_url": None, "broker_url": None, "data_folder": scratch / "data"}
            session = open_session(settings.model_copy(update=alone), say)
            settings = stack.enter_context(session).settings
        runner = stack.enter_context(asyncio.Runner())
        # Of calls that a Ctrl-C cuts off nobody reads the end; asyncio would print it.
        runner.get_loop().set_exception_handler(lambda *_: None)
        base_url = options.base_url or stack.enter_context(
            _endpoint(runner, settings, options, scratch)
        )
        settings = with_endpoint(settings, options, base_url)
        stack.enter_context(as_wrong_use())
        ways, client = stack.enter_context(_ways(settings, options, runner))
        load_before = os.getloadavg()[0]
        times = Rounds(ways, options, say).run()
        facts = _facts(options, is_embedded=is_embedded, uri=settings.milvus_uri or "")
        facts["server"]["version"] = client.get_server_version()
        facts["machine"]["load"] = [round(load_before, 1), round(os.getloadavg()[0], 1)]
        return Table(times, facts)


class Rounds:
    """Does the operations, takes the times, and looks after what was done."""

    def __init__(self, ways: Mapping[WayName, Way], options: SeedOptions, say: Say) -> None:
        """Use ways whose collections are filled."""
        self._ways = ways
        self._options = options
        self._say = say
        self._times: dict[Cell, list[float]] = {}

    def run(self) -> dict[Cell, list[float]]:
        """Warm up, and do every round; gives seconds by cell."""
        self._say("warming up")
        self._go_through(0, WARM_UP)
        self._times = {
            Cell(operation, count, way): []
            for operation in Operation
            for count in self._options.counts
            for way in self._ways
        }
        for number in range(1, self._options.rounds + 1):
            for count in self._options.counts:
                self._say(f"round {number} of {self._options.rounds}: {count} operations")
                self._go_through(number, count)
        return self._times

    def _go_through(self, number: int, count: int) -> None:
        """Add, change, find and delete the same documents, in each way."""
        batch = documents(count, f"round_{number}_{count}")
        for operation in Operation:
            for way in _turned(tuple(self._ways), number):
                seconds = self._time(way, operation, batch)
                self._times.setdefault(Cell(operation, count, way), []).append(seconds)

    def _time(self, way: WayName, operation: Operation, batch: Sequence[Document]) -> float:
        # No gc.collect() before: in a finalizer a Ctrl-C is lost.
        begun = time.perf_counter()
        found = self._ways[way].run(operation, batch)
        seconds = time.perf_counter() - begun
        check(
            f"{way.value}: {operation.value}",
            operation,
            batch,
            found,
            rows=self._ways[way].count() - self._options.stored,
        )
        return seconds


def check(
    what: str,
    operation: Operation,
    batch: Sequence[Document],
    found: Sequence[Sequence[str]],
    *,
    rows: int,
) -> None:
    """Make sure that an operation did what it was to do: some report success when refused.

    Args:
        what: was done, for messages.
        operation: likewise, for the rules.
        batch: with which documents.
        found: texts of the hits of a search, for each document.
        rows: how many of the batch's rows there are now.

    Raises:
        TransientError: it did not.
    """
    wanted = 0 if operation is Operation.DELETE else len(batch)
    if rows != wanted:
        raise TransientError(f"{what} reported success, but there are {rows} rows, not {wanted}")
    if operation is Operation.SEARCH:
        missed = sum(
            document.page_content not in texts for document, texts in zip(batch, found, strict=True)
        )
        if missed:
            raise TransientError(f"{what} missed {missed} of {wanted} texts that are there")


def _turned(ways: tuple[WayName, ...], number: int) -> tuple[WayName, ...]:
    """Begin each round with another way, so that none has the first turn for itself."""
    at = number % len(ways)
    return ways[at:] + ways[:at]


@contextmanager
def _endpoint(
    runner: asyncio.Runner, settings: Settings, options: SeedOptions, scratch: Path
) -> Iterator[str]:
    """Run the made-up endpoint while the block lasts; gives its base URL."""
    running = running_endpoint(
        worker_environment(settings),
        scratch,
        dimensions=options.dimensions,
        latency_seconds=options.latency_ms / 1_000,
    )
    endpoint = runner.run(running.__aenter__())
    try:
        yield endpoint.url
    finally:
        runner.run(running.__aexit__(None, None, None))


@contextmanager
def _ways(
    settings: Settings, options: SeedOptions, runner: asyncio.Runner
) -> Iterator[tuple[dict[WayName, Way], MilvusClient]]:
    """Give the ways, each with a filled collection that goes when the block ends."""
    name = f"{PREFIX}_{secrets.token_hex(4)}_"
    with ExitStack() as stack:
        model = Model(settings)
        stack.callback(lambda: runner.run(model.aclose()))
        stack.enter_context(translated(settings))
        stack.enter_context(model.translated())
        client = connect(settings)
        stack.callback(client.close)
        stack.callback(drop_collections, client, name)
        embedder = make_embedder(settings)
        stack.callback(lambda: runner.run(embedder.aclose()))
        terms = terms_of(f"{name}headrace", fresh=options.fresh)
        # Ours first: it tells who the model is, or clearly why it can't be asked.
        ours = PipelineWay(settings, embedder, client, terms, runner)
        stack.callback(ours.close)
        loop = LoopWay(settings, model.embeddings, f"{name}loop")
        stack.callback(loop.close)
        gather = GatherWay(settings, model.embeddings, f"{name}gather", runner)
        stack.callback(gather.close)
        ways: dict[WayName, Way] = {
            WayName.LOOP: loop,
            WayName.GATHER: gather,
            WayName.HEADRACE: ours,
        }
        for way in ways.values():
            way.fill(documents(options.stored, "stored"))
        yield ways, client


def _facts(options: SeedOptions, *, is_embedded: bool, uri: str) -> dict[str, Any]:
    endpoint: dict[str, Any] = {"model": options.model}
    if options.base_url is None:
        endpoint |= {"latency_ms": options.latency_ms, "dimensions": options.dimensions}
    else:
        endpoint["base_url"] = address(options.base_url)
    return {
        "command": options.command,
        "machine": {
            "cores": os.cpu_count() or 1,
            "architecture": platform.machine(),
            "python": platform.python_version(),
        },
        "server": {"milvus": "embedded" if is_embedded else address(uri)},
        "endpoint": endpoint,
        "libraries": {name: version(name) for name in LIBRARIES},
        "rounds": options.rounds,
        "stored": options.stored,
    }
