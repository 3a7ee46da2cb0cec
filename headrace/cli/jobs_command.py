"""``headrace jobs``: what was done, run by run."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click
from redis.asyncio import Redis

from contract.errors import UsageError
from contract.ledger.connection import check, connect, translated
from contract.ledger.jobs import Job, Jobs, collections, find_job
from contract.settings import Settings, load_settings
from headrace.cli.exit_code import ExitCode
from headrace.cli.job_line import job_line
from headrace.cli.output import give, give_json, say
from headrace.session import open_session
from headrace.status import job_as_dict

T = TypeVar("T")


@click.group("jobs")
def jobs_command() -> None:
    """List and show jobs."""


@jobs_command.command("list")
@click.option("-n", "number", type=click.IntRange(1, 1000), default=20, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_command(*, number: int, as_json: bool) -> int:
    """List the newest jobs of all collections, newest first."""

    async def read(redis: Redis) -> list[Job]:
        names = await collections(redis)
        found = [job for name in names for job in await Jobs(redis, name).latest(number)]
        return sorted(found, key=lambda job: job.created_ms, reverse=True)[:number]

    jobs = _with_redis(read)
    now_ms = round(time.time() * 1000)
    if as_json:
        give_json([job_as_dict(job, now_ms) for job in jobs])
    else:
        give("\n".join(job_line(job, now_ms) for job in jobs) or "no jobs yet")
    return ExitCode.DONE


@jobs_command.command("show")
@click.argument("job_id", metavar="JOB")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show_command(*, job_id: str, as_json: bool) -> int:
    """Show all counters of one job."""
    job = _with_redis(lambda redis: find_job(redis, job_id))
    if job is None:
        raise UsageError(f"there is no job {job_id!r}; `headrace jobs list` names them")
    now_ms = round(time.time() * 1000)
    shown = job_as_dict(job, now_ms)
    if as_json:
        give_json(shown)
        return ExitCode.DONE
    give(job_line(job, now_ms))
    for name, value in shown["counts"].items():
        give(f"  {name:<24} {value}")
    if job.trouble:
        give(f"  last trouble: {job.trouble}")
    return ExitCode.DONE


def _with_redis(read: Callable[[Redis], Awaitable[T]]) -> T:
    with open_session(load_settings(), say) as session:
        return asyncio.run(_read(session.settings, read))


async def _read(settings: Settings, read: Callable[[Redis], Awaitable[T]]) -> T:
    redis = connect(settings)
    try:
        await check(redis, settings)
        with translated(settings):
            return await read(redis)
    finally:
        await redis.aclose()
