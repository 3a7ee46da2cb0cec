"""``headrace producer``: a thin front of ``celery -A headrace.schedules.app worker``."""

import os

import click

from contract.errors import UsageError
from contract.settings import load_settings
from headrace.session import PRODUCER_COMMAND, running_session, worker_environment


@click.command("producer")
@click.option("--slots", type=click.IntRange(1), help="Runs at the same time.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), help="Port of /metrics.")
def producer_command(*, slots: int | None, metrics_port: int | None) -> None:
    """Carry out scheduled runs in the foreground; start as many as you like, anywhere.

    The paths of schedules must lead to the same files on every machine that runs one.
    """
    session = running_session(load_settings(run_slots=slots, metrics_port=metrics_port))
    if session is None:
        raise UsageError(
            "no servers: set HEADRACE_REDIS_URL and HEADRACE_MILVUS_URI, or run `headrace up` in "
            "this folder"
        )
    environment = worker_environment(session.settings)
    # This process becomes the worker, so that signals reach it and its exit code is seen.
    os.execvpe(PRODUCER_COMMAND[0], PRODUCER_COMMAND, environment)  # noqa: S606
