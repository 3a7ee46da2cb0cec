"""One run of ``headrace import``, with its workers."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from contract.errors import UnreachableError
from headrace.bench.cpu import ended_children_cpu_seconds
from headrace.bench.figures import Run, steady_rate
from headrace.bench.job_watch import JobWatch
from headrace.bench.process import Child, child
from headrace.bench.rig import Rig
from headrace.session import start_workers, worker_environment

SOURCE = "bench"
DEAD_LETTERS = 1
"""Exit code of an import in which some files could not be read: they are in no variant."""
WATCH_GRACE_SECONDS = 5.0
STOP_GRACE_SECONDS = 30.0

_PROGRAM = "from headrace.cli.main import main; main()"


async def run_import(rig: Rig, collection: str) -> Run:
    """Import the documents into a new collection, by the real command.

    Raises:
        UsageError: it was refused.
        UnreachableError: it failed, or a worker did.
    """
    command = (
        *(sys.executable, "-c", _PROGRAM, "import", str(rig.documents), "--json"),
        *("--collection", collection, "--source", SOURCE),
    )
    begun, cpu_before_seconds = time.monotonic(), ended_children_cpu_seconds()
    async with (
        _workers_of_ours(rig) as workers,
        child(command, _environment(rig), rig.scratch, "import") as started,
    ):
        watch = JobWatch(rig.redis, collection, started.process.pid, workers)
        await _through(started, watch)
    ended, used_cpu_seconds = time.monotonic(), ended_children_cpu_seconds() - cpu_before_seconds
    seen, marks = watch.seen, watch.seen.marks
    if not marks:
        raise UnreachableError("the import has written nothing")
    cpu_seconds = seen.command.seconds() + seen.workers.seconds()
    return Run(
        chunks=marks[-1].chunks,
        rate=steady_rate(marks, rig.wave_chunks(rig.settings.workers)),
        cpu_seconds=cpu_seconds,
        start_seconds=marks[0].seconds - begun,
        after_seconds=ended - marks[-1].seconds,
        start_cpu_seconds=used_cpu_seconds - cpu_seconds,
        cpu_seconds_by={
            "command": seen.command.seconds(),
            "workers": seen.workers.seconds(),
        },
    )


def _environment(rig: Rig) -> dict[str, str]:
    """Give the environment of the command.

    It finds embedded servers by their folder, as it does for a user: an address would tell it
    to leave workers to others.
    """
    servers = ("redis_url", "broker_url", "milvus_uri") if rig.session.is_local else ()
    settings = rig.settings.model_copy(update=dict.fromkeys(servers))
    return worker_environment(settings)


async def _through(started: Child, watch: JobWatch) -> None:
    """Wait for the end of the command and of the watch."""
    watching = asyncio.create_task(watch.run())
    try:
        await started.result("the import", good=(0, DEAD_LETTERS))
        async with asyncio.timeout(WATCH_GRACE_SECONDS):
            await watching
    except TimeoutError as error:
        raise UnreachableError("the import has ended, but its job in Redis is not through") from (
            error
        )
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait([watching])


@asynccontextmanager
async def _workers_of_ours(rig: Rig) -> AsyncIterator[Callable[[], Sequence[int]]]:
    """Run workers where the import leaves that to others, and give their pids.

    With embedded servers it starts workers itself, which are its children.
    """
    if rig.session.is_local:
        yield tuple
        return
    (rig.session.data_folder / "logs").mkdir(parents=True, exist_ok=True)
    children = start_workers(rig.session, rig.settings.workers, lambda _pid, _code: None)
    children.__enter__()
    try:
        yield lambda: children.pids
    finally:
        await asyncio.to_thread(children.stop, STOP_GRACE_SECONDS)
