"""``headrace scheduler``: schedules, and order, with or without workers."""

import asyncio

import click

from contract.errors import UsageError
from contract.logs import configure_logs
from contract.settings import load_settings
from headrace.cli.exit_code import ExitCode
from headrace.session import running_session


@click.command("scheduler")
@click.option("--metrics-port", type=click.IntRange(0, 65535), help="Port of /metrics.")
def scheduler_command(*, metrics_port: int | None) -> int:
    """Have schedules run as they are due, and keep order, until SIGTERM; run as many as you like.

    Schedules may also be declared in headrace.toml ([schedules.NAME]): this process reads them.
    """
    # Imported once it is needed: it takes seconds, for which --help need not wait.
    from headrace.scheduler import keep_order  # noqa: PLC0415

    session = running_session(load_settings(metrics_port=metrics_port))
    if session is None:
        raise UsageError(
            "no servers: set HEADRACE_REDIS_URL and HEADRACE_MILVUS_URI, or run `headrace up` in "
            "this folder"
        )
    configure_logs(session.settings.log_level, session.settings.log_format)
    try:
        asyncio.run(keep_order(session))
    except KeyboardInterrupt:
        return ExitCode.DONE
    raise AssertionError("it ends by an error, or is ended")
