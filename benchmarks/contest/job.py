"""What the benchmark and a peer's program say to each other, as JSON; the standard library alone.

A program gets one ``Job`` on its standard input, does it, and prints one ``Outcome`` as the last
line of its standard output.
"""

import asyncio
import dataclasses
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk, cut already.

    Attributes:
        id: primary key of its row.
        text: what is embedded and kept.
        metadata: kept with it; strings, numbers and lists of strings.
    """

    id: str
    text: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """What a peer is to do.

    Attributes:
        way: which of the program's ways.
        options: settings of the peer, as the report names them.
        chunks: a file: a JSON list of the fields of ``Chunk``.
        sample: how many of them, from the first on; 0 for all.
        collection: a collection that does not exist yet.
        milvus_uri: where it is to be made.
        endpoint_url: base URL of an OpenAI-compatible endpoint.
        model: what that is asked for.
        dimensions: of its vectors.
    """

    way: str
    options: Mapping[str, Any]
    chunks: str
    sample: int
    collection: str
    milvus_uri: str
    endpoint_url: str
    model: str
    dimensions: int

    def read_chunks(self) -> list[Chunk]:
        """Read the chunks that are to be brought in."""
        fields = json.loads(Path(self.chunks).read_text(encoding="utf-8"))
        return [Chunk(**one) for one in (fields[: self.sample] if self.sample else fields)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a program has measured: the peer's own call, with nothing before or after it.

    Attributes:
        chunks: handed to the peer.
        seconds: from the call to its return.
        cpu_seconds: user and system time meanwhile, of the process and its ended children.
        versions: of the libraries that did it.
    """

    chunks: int
    seconds: float
    cpu_seconds: float
    versions: Mapping[str, str]


Way = Callable[[Job, list[Chunk]], Awaitable[Callable[[], Awaitable[object]]]]
"""Prepares (connects, wraps the chunks as the peer wants them) and gives what is measured."""


def encode(said: Job | Outcome) -> str:
    """Write one line of JSON."""
    return json.dumps(dataclasses.asdict(said))


def decode_job(said: str) -> Job:
    """Read a job."""
    return Job(**json.loads(said))


def decode_outcome(said: str) -> Outcome:
    """Read an outcome: the last line, as libraries like to print, too.

    Raises:
        ValueError: there is none.
    """
    lines = said.strip().splitlines()
    try:
        return Outcome(**json.loads(lines[-1]))
    except (IndexError, TypeError, ValueError) as error:
        raise ValueError(f"no outcome in what the program printed: {said[-300:]!r}") from error


def main(ways: Mapping[str, Way], libraries: tuple[str, ...]) -> None:
    """Be a program: read a job, do it, print the outcome.

    Args:
        ways: what the program can do, by name.
        libraries: distributions whose versions are worth naming.
    """
    job = decode_job(sys.stdin.read())
    outcome = asyncio.run(_measured(ways[job.way], job, libraries))
    sys.stdout.write("\n" + encode(outcome) + "\n")


async def _measured(way: Way, job: Job, libraries: tuple[str, ...]) -> Outcome:
    chunks = job.read_chunks()
    call = await way(job, chunks)
    cpu_before, begun = _cpu_seconds(), time.monotonic()
    await call()
    seconds, cpu_seconds = time.monotonic() - begun, _cpu_seconds() - cpu_before
    return Outcome(len(chunks), seconds, cpu_seconds, {name: version(name) for name in libraries})


def _cpu_seconds() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    usages = [resource.getrusage(kind) for kind in kinds]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
