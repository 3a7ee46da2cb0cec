"""``headrace worker``: a thin front of ``celery -A worker.app worker``."""

import os

import click

from contract.errors import UsageError
from contract.settings import load_settings
from headrace.session import WORKER_COMMAND, running_session, worker_environment


@click.command("worker")
@click.option("--concurrency", type=click.IntRange(1), help="Batches in flight.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), help="Port of /metrics.")
def worker_command(*, concurrency: int | None, metrics_port: int | None) -> None:
    """Run one worker process in the foreground; start as many as you like, anywhere."""
    settings = load_settings(worker_concurrency=concurrency, metrics_port=metrics_port)
    session = running_session(settings)
    if session is None:
        raise UsageError(
            "no servers: set HEADRACE_REDIS_URL and HEADRACE_MILVUS_URI, or run `headrace up` in "
            "this folder"
        )
    environment = worker_environment(session.settings)
    # This process becomes the worker, so that signals reach it and its exit code is seen.
    os.execvpe(WORKER_COMMAND[0], WORKER_COMMAND, environment)  # noqa: S606
