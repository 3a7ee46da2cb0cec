"""One run of a bare limit."""

import sys
import time

import msgspec

from headrace.bench.bare import BareFigures, Order
from headrace.bench.cpu import ended_children_cpu_seconds
from headrace.bench.figures import Mark, Run, Variant, steady_rate
from headrace.bench.process import child
from headrace.bench.rig import Rig
from headrace.session import worker_environment
from worker.collections import ensure_collection
from worker.embedding.embedder import ModelIdentity

COMMAND = (sys.executable, "-m", "headrace.bench.bare")


async def run_bare(rig: Rig, collection: str, variant: Variant) -> Run:
    """Take all rows through what a variant names, by a process of its own.

    Args:
        rig: servers and rows.
        collection: what the new collection is called.
        variant: any but the import.

    Raises:
        UsageError: it was refused.
        UnreachableError: it failed.
    """
    settings = rig.settings
    model = ModelIdentity(settings.embedding_model, "", settings.embedding_dimensions or 0)
    physical = await ensure_collection(rig.client, rig.redis, settings, collection, model)
    order = Order(
        batches=str(rig.batches),
        physical=physical,
        in_flight=settings.worker_concurrency,
        variant=variant,
    )
    environment = worker_environment(settings)
    begun, cpu_before_seconds = time.monotonic(), ended_children_cpu_seconds()
    async with child(COMMAND, environment, rig.scratch, "bare") as started:
        printed = await started.result("the bare run", told=msgspec.json.encode(order))
    ended = time.monotonic()
    figures = msgspec.json.decode(printed, type=BareFigures)
    marks = [Mark(*mark) for mark in figures.marks]
    used_cpu_seconds = ended_children_cpu_seconds() - cpu_before_seconds
    return Run(
        chunks=marks[-1].chunks,
        rate=steady_rate(marks, rig.wave_chunks(1)),
        cpu_seconds=figures.cpu_seconds,
        start_seconds=marks[0].seconds - begun,
        after_seconds=ended - marks[-1].seconds,
        start_cpu_seconds=used_cpu_seconds - figures.cpu_seconds,
    )
