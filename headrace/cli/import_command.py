"""``headrace import``: bring files into a collection."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from contract.errors import UsageError
from contract.prices import require_price
from contract.settings import Settings, load_settings
from headrace.cli.exit_code import ExitCode
from headrace.cli.output import give, give_json, say
from headrace.cli.progress_line import ProgressLine
from headrace.forecast import Forecast
from headrace.forecast import text_of as forecast_text
from headrace.local.folder import DataFolder
from headrace.session import is_local, open_session, running_session
from headrace.summary import Summary
from headrace.summary import text_of as summary_text
from producers.deleting import Deletions
from producers.sources.opening import open_any
from producers.sources.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The options that were typed."""

    collection: str | None
    source: str | None
    glob: str | None
    workers: int | None
    lane: str | None
    detach: bool
    dry_run: bool
    allow_deletes: bool
    no_delete: bool
    max_tokens: int | None
    max_cost: float | None
    verify_contents: bool
    verbose: bool
    as_json: bool

    def refuse_contradictions(self) -> None:
        """Refuse options that don't go together.

        Raises:
            UsageError: names them.
        """
        if self.allow_deletes and self.no_delete:
            raise UsageError("--allow-deletes and --no-delete contradict each other: give one")
        if self.dry_run and self.detach:
            raise UsageError("--dry-run publishes nothing that --detach could leave: give one")

    @property
    def deletions(self) -> Deletions:
        """What becomes of documents that a source has no more."""
        if self.no_delete:
            return Deletions.NEVER
        return Deletions.ALLOWED if self.allow_deletes else Deletions.GUARDED


@click.command("import")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--collection", metavar="NAME", help="Collection in Milvus.")
@click.option(
    "--source",
    metavar="NAME",
    help="Name of the source; default: the folder's name, or host and path of a URL.",
)
@click.option("--glob", metavar="GLOB", help="Only files whose path in the source matches.")
@click.option("--workers", type=click.IntRange(1), help="Worker processes of a local run.")
@click.option(
    "--lane",
    type=click.Choice(["auto", "live", "bulk"]),
    help="Ahead of others, behind them, or (auto) only the first batches ahead.",
)
@click.option("--detach", is_flag=True, help="Publish, and leave the rest to running workers.")
@click.option("--dry-run", is_flag=True, help="Tell what an import would do; change nothing.")
@click.option("--allow-deletes", is_flag=True, help="Delete what is gone, however much it is.")
@click.option("--no-delete", is_flag=True, help="Keep documents that are gone from the source.")
@click.option(
    "--max-tokens",
    type=click.IntRange(1),
    metavar="N",
    help="Stop before more tokens are embedded; the same command goes on.",
)
@click.option(
    "--max-cost",
    type=click.FloatRange(0, min_open=True),
    metavar="USD",
    help="Likewise, in US dollars (setting embedding_price, or list prices).",
)
@click.option(
    "--verify-contents",
    is_flag=True,
    help="Read everything, also what has the same times and size, or the same ETag.",
)
@click.option("-v", "--verbose", is_flag=True, help="With --dry-run: name the documents.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def import_command(*, paths: tuple[str, ...], **options: Any) -> int:
    """Import files, folders and URLs; the same command again brings only what has changed.

    Documents that a folder has no more are deleted, unless they are more than a fifth of it
    (setting max_delete_share).
    """
    asked = _Asked(**options)
    asked.refuse_contradictions()
    settings = load_settings(collection=asked.collection, workers=asked.workers, lane=asked.lane)
    require_price(settings, asked.max_cost)
    if asked.source and len(paths) > 1:
        raise UsageError("--source names one source: give it with one PATH")
    if asked.detach and is_local(settings) and running_session(settings) is None:
        raise UsageError("--detach needs servers and workers that stay: run `headrace up` first")
    sources = _open(paths, asked)
    if asked.dry_run:
        return _tell(_forecast(settings, sources, asked), asked)
    try:
        summaries = _run(settings, sources, asked)
    except KeyboardInterrupt:
        say("stopped; nothing is half done. To resume, run the same command again")
        return ExitCode.STOPPED
    if asked.as_json:
        give_json([summary.as_dict() for summary in summaries])
    else:
        give("\n".join(summary_text(summary) for summary in summaries))
        if is_local(settings):
            say(f"data lies in {settings.data_folder.absolute()}")
    if any(summary.held for summary in summaries):
        return ExitCode.STOPPED
    failed = any(summary.has_dead_letters for summary in summaries)
    return ExitCode.DEAD_LETTERS if failed else ExitCode.DONE


def _open(paths: Sequence[str], asked: _Asked) -> list[Source]:
    sources = [open_any(path, glob=asked.glob, name=asked.source) for path in paths]
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        raise UsageError(
            f"several PATHs give the same source name ({', '.join(sorted(names))}); import them "
            "one by one with --source"
        )
    return sources


def _run(settings: Settings, sources: list[Source], asked: _Asked) -> list[Summary]:
    # Imported once it is needed: it takes seconds, for which --help need not wait.
    from headrace.importing import Import, ImportOptions  # noqa: PLC0415

    options = ImportOptions(
        settings.collection,
        detach=asked.detach,
        named_source=bool(asked.source),
        deletions=asked.deletions,
        max_tokens=asked.max_tokens,
        max_cost=asked.max_cost,
        verify_contents=asked.verify_contents,
    )
    with open_session(settings, say) as session, ProgressLine() as line:
        importing = Import(session, options, on_progress=line.show, say=line.say)
        return asyncio.run(importing.run(sources))


def _forecast(settings: Settings, sources: list[Source], asked: _Asked) -> list[Forecast]:
    from headrace.dry_run import dry_run  # noqa: PLC0415 - likewise

    def look(known: Settings) -> list[Forecast]:
        looking = dry_run(
            known,
            sources,
            asked.deletions,
            named=bool(asked.source),
            verify_contents=asked.verify_contents,
        )
        return asyncio.run(looking)

    if is_local(settings) and not DataFolder(settings.data_folder.absolute()).exists():
        return look(settings)  # Nothing is known yet, and nothing is to be made.
    with open_session(settings, say) as session:
        return look(session.settings)


def _tell(forecasts: list[Forecast], asked: _Asked) -> int:
    if asked.as_json:
        give_json([forecast.as_dict() for forecast in forecasts])
    else:
        give("\n".join(forecast_text(forecast, names=asked.verbose) for forecast in forecasts))
    return ExitCode.DONE
