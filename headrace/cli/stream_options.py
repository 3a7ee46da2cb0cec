"""What the commands that bring in a stream have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import click

from contract.errors import UsageError
from contract.settings import Settings, load_settings
from headrace.cli.exit_code import ExitCode
from headrace.cli.output import give, give_json, say
from headrace.session import is_local, running_session
from headrace.summary import Summary
from headrace.summary import text_of as summary_text

Command = Callable[..., Any]

_OPTIONS = (
    click.option("--collection", metavar="NAME", help="Collection in Milvus."),
    click.option("--workers", type=click.IntRange(1), help="Worker processes of a local run."),
    click.option(
        "--lane",
        type=click.Choice(["auto", "live", "bulk"]),
        help="Ahead of others, behind them, or (auto) ahead while little comes.",
    ),
    click.option("--detach", is_flag=True, help="Publish, and leave the rest to running workers."),
    click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """The options that were typed."""

    collection: str | None
    workers: int | None
    lane: str | None
    detach: bool
    as_json: bool

    def settings(self) -> Settings:
        """Load the settings.

        Raises:
            UsageError: they are wrong, or do not go together with ``--detach``.
        """
        settings = load_settings(collection=self.collection, workers=self.workers, lane=self.lane)
        if self.detach and is_local(settings) and running_session(settings) is None:
            raise UsageError(
                "--detach needs servers and workers that stay: run `headrace up` first"
            )
        return settings

    def tell(self, summary: Summary, settings: Settings) -> int:
        """Print what was done; gives the exit code."""
        if self.as_json:
            give_json(summary.as_dict())
        else:
            give(summary_text(summary))
            if is_local(settings):
                say(f"data lies in {settings.data_folder.absolute()}")
        return ExitCode.DEAD_LETTERS if summary.has_dead_letters else ExitCode.DONE


def with_stream_options(command: Command) -> Command:
    """Give a command these options."""
    return reduce(lambda made, option: option(made), reversed(_OPTIONS), command)
