"""One run of a peer's program."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contest.job import Job, Outcome, decode_outcome, encode
from headrace.bench.cpu import ended_children_cpu_seconds
from headrace.bench.process import child

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class PeerRun:
    """What was seen of a program: from inside, and from outside.

    Attributes:
        outcome: what it printed.
        seconds: from its start to its end.
        cpu_seconds: of the whole of it.
    """

    outcome: Outcome
    seconds: float
    cpu_seconds: float


async def run_peer(
    python: Path, peer: str, job: Job, scratch: Path, limit_seconds: float
) -> PeerRun:
    """Run a peer's program to its end.

    Args:
        python: of the peer's environment.
        peer: names the program.
        job: what it is to do.
        scratch: takes what it writes beside Milvus.
        limit_seconds: it is ended after that.

    Raises:
        HeadraceError: it failed.
        ValueError: it printed no outcome.
        TimeoutError: it did not end in time.
    """
    command = (str(python), "-m", f"benchmarks.contest.programs.{peer}_ways")
    begun, cpu_before_seconds = time.monotonic(), ended_children_cpu_seconds()
    async with child(command, _environment(scratch), scratch, peer) as started:
        try:
            async with asyncio.timeout(limit_seconds):
                printed = await started.result(peer, told=encode(job).encode())
        finally:
            if started.process.returncode is None:
                # Its pool of processes would outlive it.
                with suppress(ProcessLookupError):
                    os.killpg(started.process.pid, signal.SIGKILL)
    return PeerRun(
        decode_outcome(printed.decode()),
        seconds=time.monotonic() - begun,
        cpu_seconds=ended_children_cpu_seconds() - cpu_before_seconds,
    )


def _environment(scratch: Path) -> dict[str, str]:
    """Give an environment of its own: keys, proxies and tracing of the user stay out."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "HOME": str(scratch),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(_ROOT),
        # Nothing is to be told to anyone.
        "DO_NOT_TRACK": "1",
        "HAYSTACK_TELEMETRY_ENABLED": "False",
        "LANGSMITH_TRACING": "false",
    }
