"""Measures whether schedules run when they are due, whatever happens to their schedulers.

``python benchmarks/schedules.py --schedules 50 --minutes 15`` starts a Redis, a Milvus, an endpoint
that answers at once, two schedulers, a worker and a producer worker, and one schedule of a minute
for each of so many small sources. It prints how late runs began, and fails on a slot that was
missed or dealt with twice and on two runs of a source at once. With ``--killed-minutes 3`` both
schedulers are killed (-9) in the middle, and stay away for so long; printed is what became of
every slot under each policy.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

from redis.asyncio import Redis

from headrace.schedules.book import Book, Entry
from headrace.schedules.run import Run, RunState
from headrace.schedules.schedule import Missed, Overlap, Schedule
from headrace.schedules.timetable import Timetable
from tests.servers.command import Command, Running
from tests.servers.endpoint import fake_endpoint
from tests.servers.library import write_library
from tests.servers.milvus import milvus_lite
from tests.servers.redis import redis_tcp_server

MINUTE_MS = 60_000
POLICIES = [(missed, overlap) for missed in Missed for overlap in (Overlap.SKIP, Overlap.QUEUE)]


def main() -> int:
    """Run it; 1 when a schedule was not kept."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("--schedules", type=int, default=50)
    words.add_argument("--minutes", type=float, default=15, help="to watch")
    words.add_argument("--killed-minutes", type=float, default=0, help="without a scheduler")
    words.add_argument("--documents", type=int, default=5, help="of each source")
    words.add_argument("--jitter-seconds", type=float, default=50, help="0: all at once")
    options = words.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        return _run(Path(folder), stack, options)


def _run(folder: Path, stack: ExitStack, options: argparse.Namespace) -> int:
    redis = stack.enter_context(redis_tcp_server(folder, appendonly=True))
    milvus = stack.enter_context(milvus_lite(folder / "milvus"))
    endpoint = stack.enter_context(fake_endpoint())
    command = Command(
        folder,
        redis_url=redis.url,
        milvus_uri=milvus.uri,
        embedding_provider="openai",
        embedding_base_url=endpoint.url,
        embedding_dimensions=384,
        embedding_api_key="no-key",
    )
    for number in range(options.schedules):
        write_library(folder / f"source-{number:03}", options.documents, 1_000)
    for role in ("worker", "producer"):
        stack.enter_context(command.started(role))
    schedulers = [stack.enter_context(command.started("scheduler")) for _ in range(2)]
    asyncio.run(_add(redis.url, folder, options))
    _watch(stack, command, schedulers, options)
    until_ms = round(time.time() * 1000)
    time.sleep(30)  # what is due may end
    runs = asyncio.run(_read(redis.url))
    return _report(runs, until_ms)


async def _add(url: str, folder: Path, options: argparse.Namespace) -> None:
    begun_ms = round(time.time() * 1000)
    async with Redis.from_url(url) as redis:
        for number in range(options.schedules):
            missed, overlap = POLICIES[number % len(POLICIES)]
            timetable = Timetable(
                every_seconds=60, anchor_ms=begun_ms, jitter_seconds=options.jitter_seconds
            )
            schedule = Schedule(
                f"schedule-{number:03}",
                str(folder / f"source-{number:03}"),
                timetable,
                missed=missed,
                overlap=overlap,
            )
            await Book(redis).put(schedule.checked(), replace=False)


def _watch(
    stack: ExitStack, command: Command, schedulers: list[Running], options: argparse.Namespace
) -> None:
    seconds = options.minutes * 60
    if not options.killed_minutes:
        time.sleep(seconds)
        return
    time.sleep(seconds / 2)
    for scheduler in schedulers:
        scheduler.kill()
    time.sleep(options.killed_minutes * 60)
    for _ in schedulers:
        stack.enter_context(command.started("scheduler"))
    time.sleep(seconds / 2)


async def _read(url: str) -> list[tuple[Entry, list[Run]]]:
    async with Redis.from_url(url) as redis:
        book = Book(redis)
        return [
            (
                entry,
                sorted(await book.runs(entry.schedule.name), key=lambda run: run.slot_ms),
            )
            for entry in await book.entries()
        ]


def _report(kept: list[tuple[Entry, list[Run]]], until_ms: int) -> int:
    wrong = []
    table: dict[tuple[str, str], Counter[str]] = {}
    for entry, found in kept:
        schedule = entry.schedule
        dues = schedule.timetable.due_slots(schedule.name, entry.created_ms, until_ms)
        faults = _faults(found)
        covered = sum(run.slots for run in found)
        if not len(dues) <= covered <= len(dues) + 1:  # one more may be due before the end
            faults.append(f"{covered} slots of {len(dues)} dealt with")
        wrong += [f"{schedule.name}: {what}" for what in faults]
        row = table.setdefault((schedule.missed.value, schedule.overlap.value), Counter())
        row["due"] += covered
        for run in found:
            row[run.state.value] += run.slots
    runs = [run for _, found in kept for run in found]
    print(
        f"{'missed':<8}{'overlap':<9}{'due':>6}{'done':>6}{'missed':>8}{'skipped':>9}{'other':>7}"
    )
    for (missed, overlap), row in table.items():
        other = row["due"] - row["done"] - row["missed"] - row["skipped"]
        print(
            f"{missed:<8}{overlap:<9}{row['due']:>6}{row['done']:>6}{row['missed']:>8}"
            f"{row['skipped']:>9}{other:>7}"
        )
    late = sorted((run.started_ms - run.due_ms) / 1000 for run in runs if run.started_ms)
    took = [(run.finished_ms - run.started_ms) / 1000 for run in runs if run.state is RunState.DONE]
    print(
        f"begun after it was due, s: median {statistics.median(late):.2f}, 95 % "
        f"{late[int(len(late) * 0.95)]:.2f}, worst {late[-1]:.2f}; a run took "
        f"{statistics.median(took):.2f} s (median of {len(took)})"
    )
    print("\n".join(wrong) or f"none missed, none twice, none at once ({len(kept)} schedules)")
    return 1 if wrong else 0


def _faults(runs: list[Run]) -> list[str]:
    """Tell what must not be."""
    found = [
        f"two runs at once at {after.started_ms}"
        for before, after in pairwise(run for run in runs if run.started_ms)
        if not before.finished_ms or after.started_ms < before.finished_ms
    ]
    slots = [run.slot_ms for run in runs]
    if len(set(slots)) < len(slots):
        found.append("a slot was dealt with twice")
    found += [f"{run.state}: {run.reason}" for run in runs if run.state is RunState.FAILED]
    return found


if __name__ == "__main__":
    sys.exit(main())
