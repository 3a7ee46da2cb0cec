"""``headrace watch``: keep a collection equal to a folder while it changes."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from contract.errors import UsageError
from contract.settings import load_settings
from headrace.cli.exit_code import ExitCode
from headrace.cli.output import give_json, say
from headrace.cli.progress_line import WorkLine
from headrace.session import open_session
from producers.deleting import Deletions
from producers.sources.files import open_source

if TYPE_CHECKING:
    from headrace.upkeep import Upkeep


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The options that were typed."""

    collection: str | None
    source: str | None
    glob: str | None
    workers: int | None
    poll: float | None
    allow_deletes: bool
    no_delete: bool
    as_json: bool

    @property
    def deletions(self) -> Deletions:
        """What becomes of documents that are gone."""
        if self.no_delete:
            return Deletions.NEVER
        return Deletions.ALLOWED if self.allow_deletes else Deletions.GUARDED


@click.command("watch")
@click.argument("path")
@click.option("--collection", metavar="NAME", help="Collection in Milvus.")
@click.option("--source", metavar="NAME", help="Name of the source; default: the folder's name.")
@click.option("--glob", metavar="GLOB", help="Only files whose path in the source matches.")
@click.option("--workers", type=click.IntRange(1), help="Worker processes of a local run.")
@click.option(
    "--poll",
    type=click.FloatRange(0.1),
    metavar="SECONDS",
    help="Look at all files so often: for network disks, of which the system tells nothing.",
)
@click.option("--allow-deletes", is_flag=True, help="Delete what is gone, however much it is.")
@click.option("--no-delete", is_flag=True, help="Keep documents that are gone from the source.")
@click.option("--json", "as_json", is_flag=True, help="At the end, print what was done as JSON.")
def watch_command(*, path: str, **options: Any) -> int:
    """Import a folder, then what changes in it within seconds, until Ctrl-C.

    Files that come, change, move and go; what the import of the folder would leave out is left
    out here. When more than a fifth of it is gone at once, nothing is deleted (setting
    max_delete_share).
    """
    asked = _Asked(**options)
    if asked.allow_deletes and asked.no_delete:
        raise UsageError("--allow-deletes and --no-delete contradict each other: give one")
    settings = load_settings(
        collection=asked.collection, workers=asked.workers, watch_poll_seconds=asked.poll
    )
    source = open_source(path, glob=asked.glob, name=asked.source)
    # Imported once they are needed: that takes seconds, for which --help need not wait.
    from headrace.importing import ImportOptions  # noqa: PLC0415
    from headrace.upkeep import Upkeep  # noqa: PLC0415

    wanted = ImportOptions(
        settings.collection,
        named_source=bool(asked.source),
        deletions=asked.deletions,
        stays=True,
    )
    with open_session(settings, say) as session:
        upkeep = Upkeep(session, wanted, on_progress=WorkLine().show, say=say)
        try:
            asyncio.run(upkeep.run(source))
        except KeyboardInterrupt:
            return _ended(upkeep, asked)
    raise AssertionError("a vigil ends by an error or by Ctrl-C")


def _ended(upkeep: "Upkeep", asked: _Asked) -> int:
    if asked.as_json:
        give_json(upkeep.as_dict())
    if upkeep.is_up_to_date:
        say("stopped; all that has changed so far can be found")
        return ExitCode.DONE
    say("stopped; nothing is half done. What is missing comes with the same command, or an import")
    return ExitCode.STOPPED
