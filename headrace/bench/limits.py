"""Measures the import against the bare limit, side by side, and leaves nothing behind."""

import asyncio
import dataclasses
import os
import tempfile
import time
from pathlib import Path

from contract.settings import Settings, address
from headrace.bench.bare_run import run_bare
from headrace.bench.cpu import read_named
from headrace.bench.figures import Round, Run, Variant, order
from headrace.bench.import_run import run_import
from headrace.bench.preparation import LimitsOptions, Prepared, prepared, with_choices
from headrace.bench.report import Report
from headrace.session import Say, Session, open_session
from worker.milvus import quiet_libraries


def measure(settings: Settings, options: LimitsOptions, say: Say) -> Report:
    """Run every variant in every round.

    Args:
        settings: servers if they are configured, else embedded ones are started in a folder of
            their own; how to cut, batch and write; worker processes and batches in flight.
        options: what to measure.
        say: takes lines for a person.

    Raises:
        UsageError: something in the configuration does not fit, or there is nothing to import.
        UnreachableError: a server or a run failed.
    """
    quiet_libraries()
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        scratch = Path(folder)
        begun = time.monotonic()
        with open_session(with_choices(settings, options, scratch / "data"), say) as session:
            start_seconds = {"servers": time.monotonic() - begun} if session.is_local else {}
            return asyncio.run(_measure(session, options, scratch, start_seconds, say))


async def _measure(
    session: Session,
    options: LimitsOptions,
    scratch: Path,
    start_seconds: dict[str, float],
    say: Say,
) -> Report:
    begun = time.monotonic()
    async with prepared(session, options, scratch) as ready:
        start_seconds["preparation"] = time.monotonic() - begun
        load_before = os.getloadavg()[0]
        rounds = [
            await _round(ready, number, options.rounds, say) for number in range(options.rounds)
        ]
        settings = session.settings
        return Report(
            servers="embedded" if session.is_local else address(settings.milvus_uri or ""),
            documents=ready.documents,
            chunks=ready.chunks,
            dimensions=options.dimensions,
            latency_seconds=options.latency_seconds,
            batch_chunks=settings.batch_max_chunks,
            in_flight=settings.worker_concurrency,
            workers=settings.workers,
            cores=os.cpu_count() or 1,
            load=(load_before, os.getloadavg()[0]),
            start_seconds=start_seconds,
            rounds=tuple(rounds),
        )


async def _round(ready: Prepared, number: int, rounds: int, say: Say) -> Round:
    runs: dict[Variant, Run] = {}
    for variant in order(number):
        say(f"round {number + 1} of {rounds}: {variant.value}")
        runs[variant] = await _run(ready, variant)
    return runs


async def _run(ready: Prepared, variant: Variant) -> Run:
    """Run one variant in a collection of its own."""
    pids = ready.rig.server_pids
    async with ready.throwaway.collection(variant.value) as collection:
        before = read_named(pids)
        if variant is Variant.IMPORT:
            run = await run_import(ready.rig, collection)
        else:
            run = await run_bare(ready.rig, collection, variant)
        after = read_named(pids)
    used = {name: after[name] - before[name] for name in before if name in after}
    return dataclasses.replace(run, server_cpu_seconds=used)
