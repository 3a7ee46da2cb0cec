"""The benchmark endpoint as a child of the benchmark."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from contract.errors import UnreachableError
from headrace.bench.process import child

START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class RunningEndpoint:
    """Where the endpoint listens.

    Attributes:
        url: base URL for an OpenAI client, ends in ``/v1``.
        pid: its process.
    """

    url: str
    pid: int


@asynccontextmanager
async def running_endpoint(
    environment: Mapping[str, str], folder: Path, *, dimensions: int, latency_seconds: float
) -> AsyncIterator[RunningEndpoint]:
    """Run an endpoint while the block lasts; it also ends when this process is killed.

    Args:
        environment: of the process.
        folder: its working folder.
        dimensions: of its vectors.
        latency_seconds: what each of its answers waits.

    Raises:
        UnreachableError: it does not start.
    """
    command = (
        *(sys.executable, "-m", "headrace.bench.endpoint", "--die-with-parent"),
        *("--dimensions", str(dimensions), "--latency-seconds", str(latency_seconds)),
    )
    async with child(command, environment, folder, "endpoint") as started:
        output = started.process.stdout
        assert output is not None  # noqa: S101 - it was asked for as a pipe
        try:
            async with asyncio.timeout(START_SECONDS):
                line = await output.readline()
        except TimeoutError:
            line = b""
        if not line:
            said = started.errors.read_text(encoding="utf-8", errors="replace")
            raise UnreachableError(f"the benchmark's embedding endpoint does not start:\n{said}")
        yield RunningEndpoint(str(orjson.loads(line)["url"]), started.process.pid)
