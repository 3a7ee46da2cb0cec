"""``headrace bench``: how close to the bare limits this machine and these servers come."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from contract.errors import UsageError
from contract.settings import load_settings
from headrace.bench.limits import measure
from headrace.bench.preparation import LimitsOptions
from headrace.bench.report import text_of
from headrace.bench.seed.options import SeedOptions
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


@bench_command.command("seed")
@click.option(
    "--count",
    "counts",
    type=click.IntRange(1, 10_000),
    multiple=True,
    help="Operations; may be given more than once.  [default: 10 and 100]",
)
@click.option("--rounds", type=click.IntRange(1, 100), help="Of each.  [default: 5]")
@click.option("--stored", type=click.IntRange(1), help="Documents beside them.  [default: 1000]")
@click.option(
    "--latency-ms", type=click.FloatRange(0, 60_000), help="Of made-up embedding.  [default: 50]"
)
@click.option(
    "--dimensions", type=click.IntRange(2, 32_768), help="Of made-up vectors.  [default: 1536]"
)
@click.option("--base-url", help="Embed by this OpenAI-compatible endpoint instead.")
@click.option("--model", help="What that endpoint is asked for.")
@click.option("--fresh", is_flag=True, help="Have headrace's searches see the very last rows.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def seed_command(*, as_json: bool, counts: tuple[int, ...], **chosen: Any) -> int:
    """Reproduce the tutorial's table of async against sync operations, with a row of ours.

    add, upsert, search and delete, by langchain-milvus in a loop and by asyncio.gather, and by
    the pipeline's own writer and searcher. On the Milvus of HEADRACE_MILVUS_URI, or an embedded
    one in a folder of its own; collections made for it are dropped at the end.
    """
    # Imported once they are needed: it takes seconds, for which --help need not wait.
    from headrace.bench.seed.measurement import measure as measure_seed  # noqa: PLC0415
    from headrace.bench.seed.table import text_of as text_of_table  # noqa: PLC0415

    given = {name: value for name, value in chosen.items() if value is not None}
    if counts:
        given["counts"] = tuple(dict.fromkeys(counts))
    _require_one_endpoint(given)
    table = measure_seed(load_settings(), SeedOptions(**given), say)
    if as_json:
        give_json(table.as_dict())
    else:
        give(text_of_table(table))
    return ExitCode.DONE


def _require_one_endpoint(given: Mapping[str, Any]) -> None:
    """Refuse an address that can't be one, and what would have no effect.

    Raises:
        UsageError: says what is wrong with which option.
    """
    has_url = "base_url" in given
    if has_url and not given["base_url"].startswith(("http://", "https://")):
        raise UsageError("--base-url: give it as http://host:port/v1 or https://host/v1")
    if has_url != ("model" in given):
        raise UsageError("--base-url and --model go together: name the endpoint and its model")
    for name in ("latency_ms", "dimensions"):
        if has_url and name in given:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} is of the made-up endpoint; leave it out with --base-url")
