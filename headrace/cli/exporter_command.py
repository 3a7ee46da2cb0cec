"""``headrace exporter``: what ledgers, schedules, Redis and Milvus hold, as metrics."""

import asyncio

import click

from contract.errors import UsageError
from contract.logs import configure_logs
from contract.settings import load_settings
from headrace.cli.exit_code import ExitCode
from headrace.cli.output import say
from headrace.session import running_session

DEFAULT_PORT = 9102


@click.command("exporter")
@click.option("--host", help="Address to serve at.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 for any free one.")
def exporter_command(*, host: str | None, port: int | None) -> int:
    """Serve /metrics of what is in Redis and Milvus, until SIGTERM; run as many as you like."""
    # Imported once it is needed: it takes seconds, for which --help need not wait.
    from headrace.exporter.process import serve  # noqa: PLC0415

    settings = load_settings(metrics_host=host)
    session = running_session(settings)
    if session is None:
        raise UsageError(
            "no servers: set HEADRACE_REDIS_URL and HEADRACE_MILVUS_URI, or run `headrace up` in "
            "this folder"
        )
    configure_logs()
    chosen = settings.exporter_port or DEFAULT_PORT if port is None else port
    try:
        asyncio.run(serve(session.settings, settings.metrics_host, chosen, on_port=_tell))
    except KeyboardInterrupt:
        return ExitCode.DONE
    raise AssertionError("it ends by an error, or is ended")


def _tell(port: int) -> None:
    say(f"metrics at port {port}; Ctrl-C stops")
