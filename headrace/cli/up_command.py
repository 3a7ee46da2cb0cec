"""``headrace up``: embedded servers and workers, until Ctrl-C."""

import asyncio
import time

import click

from contract.errors import UnreachableError, UsageError
from contract.settings import load_settings
from headrace.cli.exit_code import ExitCode
from headrace.cli.output import say
from headrace.session import is_local, open_session, require_servers, start_workers

POLL_SECONDS = 0.5


@click.command("up")
@click.option("--workers", type=click.IntRange(1), help="Worker processes.")
def up_command(*, workers: int | None) -> int:
    """Run the embedded servers and workers until Ctrl-C; other commands here use them."""
    # Imported once it is needed: it takes seconds, for which --help need not wait.
    from headrace.orphans import take_away  # noqa: PLC0415

    settings = load_settings(workers=workers)
    if not is_local(settings):
        raise UsageError(
            "HEADRACE_REDIS_URL and HEADRACE_MILVUS_URI are set: there is nothing to bring up; "
            "run `headrace worker`"
        )
    with open_session(settings, say) as session:
        effective = session.settings

        def on_exit(pid: int, _returncode: int) -> None:
            asyncio.run(take_away(effective, pid))

        with start_workers(session, settings.workers, on_exit) as children:
            say(f"Milvus: {effective.milvus_uri}")
            say(f"data:   {session.data_folder}")
            say(f"{settings.workers} workers; Ctrl-C stops everything")
            try:
                while children.failure is None:
                    time.sleep(POLL_SECONDS)
                    require_servers(session)
            except KeyboardInterrupt:
                say("stopping")
                return ExitCode.DONE
            raise UnreachableError(
                "a worker can't start:\n" + "\n".join(children.failure.log_lines)
            )
