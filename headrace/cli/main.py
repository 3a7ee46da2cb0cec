"""The group of commands, and what their errors mean as exit codes."""

import importlib
import logging
import signal
import sys
from typing import Any

import click

from contract.errors import (
    CancelledJobError,
    GuardError,
    HeadraceError,
    SettingsError,
    TransientError,
    UnreachableError,
    UsageError,
)
from contract.logs import configure_logs
from headrace.cli.exit_code import ExitCode

COMMANDS = {
    "import": "Import files and folders; again: only what has changed.",
    "watch": "Import a folder, then what changes in it, until Ctrl-C.",
    "stdin": "Bring in JSON Lines from standard input, as they come.",
    "stream": "Bring in documents from a Redis Stream, as they come.",
    "search": "Find the chunks nearest to a text.",
    "status": "Show workers, unfinished work and the newest jobs.",
    "jobs": "List, show, pause, resume and cancel jobs.",
    "dead-letters": "List, show, replay, accept and purge what could not be ingested.",
    "sources": "List, show and remove sources, and set how long documents stay.",
    "verify": "Compare sources, ledger and Milvus, and mend what differs.",
    "schedule": "Bring sources in again and again, at set times.",
    "worker": "Run one worker process in the foreground.",
    "producer": "Carry out scheduled runs in the foreground.",
    "scheduler": "Have schedules run as they are due, and keep order.",
    "exporter": "Serve metrics of what is in Redis and Milvus.",
    "up": "Run embedded servers and workers until Ctrl-C.",
    "doctor": "Check settings, servers, model and workers.",
    "bench": "Measure speed beside the bare limit.",
}
"""What each does, in the order in which one meets them. Its module is headrace.cli.X_command."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they run, not to be listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        name = f"{cmd_name.replace('-', '_')}_command"
        command: click.Command = getattr(importlib.import_module(f"headrace.cli.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="headrace")
@click.option("-v", "--verbose", is_flag=True, help="Show what happens inside, as log lines.")
def cli(*, verbose: bool) -> None:
    """Bring documents into Milvus: nothing lost, nothing stale, nothing twice."""
    configure_logs(logging.INFO if verbose else logging.ERROR)


def main() -> None:
    """Run a command, and end with an exit code that says how it went."""
    # A shell that starts us in the background has SIGINT ignored. Whoever stops the command by
    # SIGTERM means the same as one who types Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    sys.exit(_run())


def _run() -> int:
    try:
        outcome: Any = cli.main(standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return ExitCode.WRONG_USE
    except (KeyboardInterrupt, click.exceptions.Abort):
        click.echo("stopped", err=True)
        return ExitCode.STOPPED
    except HeadraceError as error:
        click.echo(f"headrace: {error}", err=True)
        return _code(error)
    return outcome if isinstance(outcome, int) else ExitCode.DONE


def _code(error: HeadraceError) -> ExitCode:
    if isinstance(error, UsageError | SettingsError):
        return ExitCode.WRONG_USE
    if isinstance(error, UnreachableError | TransientError):
        return ExitCode.UNREACHABLE
    if isinstance(error, GuardError | CancelledJobError):
        return ExitCode.STOPPED
    return ExitCode.DEAD_LETTERS
