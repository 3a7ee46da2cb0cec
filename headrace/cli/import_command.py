"""``headrace import``: bring files into a collection."""

import asyncio

import click

from contract.errors import UsageError
from contract.settings import Settings, load_settings
from headrace.cli.exit_code import ExitCode
from headrace.cli.output import give, give_json, say
from headrace.cli.progress_line import ProgressLine
from headrace.session import is_local, open_session, running_session
from headrace.summary import Summary, text_of
from producers.sources.files import open_source
from producers.sources.source import Source


@click.command("import")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--collection", metavar="NAME", help="Collection in Milvus.")
@click.option("--source", metavar="NAME", help="Name of the source; default: the folder's name.")
@click.option("--glob", metavar="GLOB", help="Only files whose path in the source matches.")
@click.option("--workers", type=click.IntRange(1), help="Worker processes of a local run.")
@click.option("--detach", is_flag=True, help="Publish, and leave the rest to running workers.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def import_command(
    *,
    paths: tuple[str, ...],
    collection: str | None,
    source: str | None,
    glob: str | None,
    workers: int | None,
    detach: bool,
    as_json: bool,
) -> int:
    """Import files and folders; the same command again brings only what has changed."""
    settings = load_settings(collection=collection, workers=workers)
    if source and len(paths) > 1:
        raise UsageError("--source names one source: give it with one PATH")
    if detach and is_local(settings) and running_session(settings) is None:
        raise UsageError("--detach needs servers and workers that stay: run `headrace up` first")
    sources: list[Source] = [open_source(path, glob=glob, name=source) for path in paths]
    names = [item.name for item in sources]
    if len(set(names)) < len(names):
        raise UsageError(
            f"several PATHs give the same source name ({', '.join(sorted(names))}); import them "
            "one by one with --source"
        )
    try:
        summaries = _run(settings, sources, detach=detach, named=bool(source))
    except KeyboardInterrupt:
        say("stopped; nothing is half done. To resume, run the same command again")
        return ExitCode.STOPPED
    if as_json:
        give_json([summary.as_dict() for summary in summaries])
    else:
        give("\n".join(text_of(summary) for summary in summaries))
        if is_local(settings):
            say(f"data lies in {settings.data_folder.absolute()}")
    failed = any(summary.has_dead_letters for summary in summaries)
    return ExitCode.DEAD_LETTERS if failed else ExitCode.DONE


def _run(settings: Settings, sources: list[Source], *, detach: bool, named: bool) -> list[Summary]:
    # Imported once it is needed: it takes seconds, for which --help need not wait.
    from headrace.importing import Import, ImportOptions  # noqa: PLC0415

    options = ImportOptions(settings.collection, detach=detach, named_source=named)
    with open_session(settings, say) as session, ProgressLine() as line:
        importing = Import(session, options, on_progress=line.show, say=line.say)
        return asyncio.run(importing.run(sources))
