"""``headrace bench``: how close to the bare limits this machine and these servers come."""

from pathlib import Path
from typing import Any

import click

from contract.settings import load_settings
from headrace.bench.limits import measure
from headrace.bench.preparation import LimitsOptions
from headrace.bench.report import text_of
from headrace.cli.exit_code import ExitCode
from headrace.cli.output import give, give_json, say


@click.group("bench")
def bench_command() -> None:
    """Measure."""


@bench_command.command("limits")
@click.option("--documents", type=click.IntRange(1), default=400, help="How many to generate.")
@click.option(
    "--folder",
    type=click.Path(exists=True, path_type=Path),
    help="Import these files instead of generated ones.",
)
@click.option("--dimensions", type=click.IntRange(2, 32_768), default=384, help="Of a vector.")
@click.option("--latency-seconds", type=click.FloatRange(0, 60), default=0.0, help="Of embedding.")
@click.option("--rounds", type=click.IntRange(1, 100), default=3, help="Runs of each variant.")
@click.option("--workers", type=click.IntRange(1), help="Worker processes of the import.")
@click.option("--in-flight", type=click.IntRange(1), help="Batches at the same time, a process.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def limits_command(
    *, workers: int | None, in_flight: int | None, as_json: bool, **chosen: Any
) -> int:
    """Compare an import with a bare loop that embeds and writes the same chunks.

    Both use the same embedding endpoint, which answers with made-up vectors, and the same
    Milvus: an embedded one in a folder of its own, or that of HEADRACE_MILVUS_URI. Everything
    made for it is removed at the end.
    """
    settings = load_settings(workers=workers, worker_concurrency=in_flight)
    report = measure(settings, LimitsOptions(**chosen), say)
    if as_json:
        give_json(report.as_dict())
    else:
        give(text_of(report))
    return ExitCode.DONE
