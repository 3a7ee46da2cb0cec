"""``headrace jobs``: what was done, run by run."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click
from redis.asyncio import Redis

from contract.errors import UsageError
from contract.ledger.jobs import Job, Jobs, collections, find_job
from contract.prices import price_of
from contract.settings import Settings, load_settings
from headrace.cli.exit_code import ExitCode
from headrace.cli.job_line import job_line
from headrace.cli.ledger_call import with_redis
from headrace.cli.output import give, give_json, say
from headrace.session import open_session, running_session
from headrace.status import job_as_dict

if TYPE_CHECKING:
    from headrace.control import Control, Controlled


@click.group("jobs")
def jobs_command() -> None:
    """List, show, pause, resume and cancel jobs."""


@jobs_command.command("list")
@click.option("-n", "number", type=click.IntRange(1, 1000), default=20, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_command(*, number: int, as_json: bool) -> int:
    """List the newest jobs of all collections, newest first."""

    async def read(redis: Redis) -> list[Job]:
        names = await collections(redis)
        found = [job for name in names for job in await Jobs(redis, name).latest(number)]
        return sorted(found, key=lambda job: job.created_ms, reverse=True)[:number]

    settings = load_settings()
    jobs = with_redis(settings, read)
    now_ms, price = round(time.time() * 1000), price_of(settings)
    if as_json:
        give_json([job_as_dict(job, now_ms, price) for job in jobs])
    else:
        give("\n".join(job_line(job, now_ms, price) for job in jobs) or "no jobs yet")
    return ExitCode.DONE


@jobs_command.command("show")
@click.argument("job_id", metavar="JOB")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show_command(*, job_id: str, as_json: bool) -> int:
    """Show all counters of one job."""
    settings = load_settings()
    job = with_redis(settings, lambda redis: find_job(redis, job_id))
    if job is None:
        raise UsageError(f"there is no job {job_id!r}; `headrace jobs list` names them")
    now_ms, price = round(time.time() * 1000), price_of(settings)
    shown = job_as_dict(job, now_ms, price)
    if as_json:
        give_json(shown)
        return ExitCode.DONE
    give(job_line(job, now_ms, price))
    for name, value in shown["counts"].items():
        give(f"  {name:<24} {value}")
    if job.trouble:
        give(f"  last trouble: {job.trouble}")
    if job.notice:
        give(f"  announced: {job.notice}")
    if job.held:
        give(f"  held: {job.held}")
    return ExitCode.DONE


@jobs_command.command("pause")
@click.argument("job_id", metavar="JOB")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def pause_command(*, job_id: str, as_json: bool) -> int:
    """Let a running job rest: nothing of it is begun, what was begun is given back."""
    controlled = _control(lambda control: control.pause(job_id))
    job = controlled.job
    return _told(
        controlled,
        f"paused: {job.documents_settled} documents are through; `headrace jobs resume {job.id}` "
        "lets it go on",
        as_json=as_json,
    )


@jobs_command.command("resume")
@click.argument("job_id", metavar="JOB")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def resume_command(*, job_id: str, as_json: bool) -> int:
    """Let a paused job go on."""
    controlled = _control(lambda control: control.resume(job_id))
    return _told(controlled, "goes on", as_json=as_json)


@jobs_command.command("cancel")
@click.argument("job_id", metavar="JOB")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def cancel_command(*, job_id: str, as_json: bool) -> int:
    """End a job: documents that are not through keep the version before."""
    controlled = _control(lambda control: control.cancel(job_id))
    number = controlled.job.count("documents_cancelled")
    return _told(
        controlled,
        f"cancelled: {number} documents not imported keep their old version",
        as_json=as_json,
    )


def _told(controlled: "Controlled", line: str, *, as_json: bool) -> int:
    if as_json:
        now_ms, price = round(time.time() * 1000), price_of(load_settings())
        give_json(job_as_dict(controlled.job, now_ms, price))
    else:
        give(line)
    if controlled.held_batches:
        say(
            f"{controlled.held_batches} batches are held by workers that do not answer; they are "
            "let go of at the end of their leases"
        )
    return ExitCode.DONE


def _control(command: "Callable[[Control], Awaitable[Controlled]]") -> "Controlled":
    """Give a command to a job on servers that run; embedded ones are not started for that."""
    # Imported once it is needed: it takes seconds, for which --help need not wait.
    from headrace.control import open_control  # noqa: PLC0415

    async def give_command(settings: Settings) -> "Controlled":
        async with open_control(settings) as control:
            return await command(control)

    settings = load_settings()
    if running_session(settings) is None:
        raise UsageError(
            f"nothing is running in {settings.data_folder.absolute()}, so there is no job to "
            "control; an import that was stopped goes on when it is run again"
        )
    # Not only attached: the command that runs the job may end now, and stop the servers.
    with open_session(settings, say) as session:
        return asyncio.run(give_command(session.settings))
