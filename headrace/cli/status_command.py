"""``headrace status``: what is going on."""

import asyncio

import click

from contract.ledger.connection import check, connect, translated
from contract.prices import price_of
from contract.settings import Settings, load_settings
from headrace.cli.exit_code import ExitCode
from headrace.cli.job_line import job_line
from headrace.cli.output import give, give_json
from headrace.session import running_session
from headrace.status import Status, read_status, status_as_dict

SHOWN_JOBS = 5


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
def status_command(*, as_json: bool) -> int:
    """Show workers, what they wait for, unfinished work, dead letters and the newest jobs."""
    settings = load_settings()
    session = running_session(settings)
    if session is None:
        if as_json:
            give_json(
                {
                    "running": False,
                    "workers": [],
                    "producers": [],
                    "schedules": 0,
                    "overdue_schedules": [],
                    "troubles": {},
                    "queues": None,
                    "collections": [],
                }
            )
        else:
            give(f"nothing is running in {settings.data_folder.absolute()}")
        return ExitCode.DONE
    status = asyncio.run(_read(session.settings))
    if as_json:
        give_json(status_as_dict(status, price_of(settings)))
    else:
        give("\n".join(_lines(status, settings)))
    return ExitCode.DONE


async def _read(settings: Settings) -> Status:
    redis = connect(settings)
    try:
        await check(redis, settings)
        with translated(settings):
            return await read_status(redis, jobs=SHOWN_JOBS, is_broker=settings.broker_url is None)
    finally:
        await redis.aclose()


def _lines(status: Status, settings: Settings) -> list[str]:
    price = price_of(settings)
    lines = [f"{len(status.workers)} workers"]
    if status.producers or status.schedules:
        lines[0] += f", {len(status.producers)} producer workers, {status.schedules} schedules"
    lines += [f"schedule {name} is overdue: is a scheduler running?" for name in status.overdue]
    for worker, troubles in status.troubles.items():
        for trouble in troubles:
            seconds = max(0, status.now_ms - trouble.since_ms) / 1000
            lines.append(
                f"  {worker} waits for {trouble.dependency}, for {seconds:.0f} s: {trouble.reason}"
            )
    if status.queues is not None and any(item.unfinished.batches for item in status.collections):
        waiting = ", ".join(f"{number} {lane}" for lane, number in status.queues.items())
        lines.append(f"messages waiting: {waiting}")
    for item in status.collections:
        lines.append(
            f"{item.name}: {item.unfinished.batches} batches unfinished "
            f"({item.unfinished.chunks} chunks), {item.dead_letters} dead letters"
        )
        lines += [f"  {job}: cancelled, being cleared up" for job in item.clearing]
        lines += [
            f"  today: {tokens} tokens embedded for {source}{_of(settings)}"
            for source, tokens in sorted(item.tokens_today.items())
        ]
        for job in item.jobs:
            lines.append(f"  {job_line(job, status.now_ms, price)}")
            if job.trouble and not job.drained:
                lines.append(f"    waiting: {job.trouble}")
            if job.notice:
                lines.append(f"    {job.notice}")
            if job.held:
                lines.append(f"    held: {job.held}")
    return lines


def _of(settings: Settings) -> str:
    """Say how much a source may use on a day, where that is limited in tokens."""
    most = settings.source_tokens_per_day
    return f" of {most} a day" if most else ""
