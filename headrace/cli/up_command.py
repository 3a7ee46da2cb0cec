"""``headrace up``: embedded servers, workers and schedules, until Ctrl-C."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import click

from contract.errors import UnreachableError, UsageError
from contract.settings import load_settings
from contract.tasks import end
from headrace.cli.exit_code import ExitCode
from headrace.cli.output import say
from headrace.local.children import Children
from headrace.session import (
    Session,
    is_local,
    open_session,
    port_of,
    start_exporter,
    start_producer,
    start_workers,
)

POLL_SECONDS = 0.5


@click.command("up")
@click.option("--workers", type=click.IntRange(1), help="Worker processes.")
def up_command(*, workers: int | None) -> int:
    """Run embedded servers, workers and schedules until Ctrl-C; other commands here use them."""
    # Imported once they are needed: that takes seconds, for which --help need not wait.
    from headrace.orphans import take_away  # noqa: PLC0415
    from headrace.scheduler import keep_order  # noqa: PLC0415

    settings = load_settings(workers=workers)
    if not is_local(settings):
        raise UsageError(
            "HEADRACE_REDIS_URL and HEADRACE_MILVUS_URI are set: there is nothing to bring up; "
            "run `headrace worker`"
        )
    with open_session(settings, say) as session:
        effective = session.settings
        port = port_of(effective, settings.workers + 1)
        scheduling = Session(effective.model_copy(update={"metrics_port": port}), is_local=True)

        def on_exit(pid: int, _returncode: int) -> None:
            asyncio.run(take_away(effective, pid))

        with (
            start_workers(session, settings.workers, on_exit) as children,
            start_producer(session, lambda *_: None),
            start_exporter(session, lambda *_: None),
        ):
            say(f"Milvus: {effective.milvus_uri}")
            say(f"data:   {session.data_folder}")
            if settings.exporter_port:
                say(f"metrics: http://{settings.metrics_host}:{settings.exporter_port}/metrics")
            say(f"{settings.workers} workers, schedules; Ctrl-C stops everything")
            try:
                asyncio.run(_until_failure(children, keep_order(scheduling)))
            except KeyboardInterrupt:
                say("stopping")
                return ExitCode.DONE
            assert children.failure is not None  # noqa: S101 - that was waited for
            raise UnreachableError(
                "a worker can't start:\n" + "\n".join(children.failure.log_lines)
            )


async def _until_failure(children: Children, order: Coroutine[Any, Any, None]) -> None:
    """Keep order until a worker can't be started at all."""
    keeping = asyncio.create_task(order, name="scheduler")
    try:
        while children.failure is None:
            await asyncio.wait([keeping], timeout=POLL_SECONDS)
            if keeping.done():
                keeping.result()  # an embedded server has ended
    finally:
        await end(keeping)
