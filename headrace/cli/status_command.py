"""``headrace status``: what is going on."""

import asyncio

import click

from contract.prices import price_of
from contract.settings import Settings, load_settings
from headrace.amounts import age_text
from headrace.cli.exit_code import ExitCode
from headrace.cli.job_line import job_line
from headrace.cli.output import give, give_json
from headrace.session import running_session
from headrace.status import Status, status_as_dict, status_of

SHOWN_JOBS = 5
WATCH_SECONDS = 2.0


@click.command("status")
@click.option(
    "--watch",
    "every",
    type=click.FloatRange(0.2, 3600),
    is_flag=False,
    flag_value=str(WATCH_SECONDS),
    metavar="[SECONDS]",
    help=f"Show it again and again until Ctrl-C; without SECONDS: every {WATCH_SECONDS:g} s.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print as JSON; with --watch: one object a line."
)
def status_command(*, every: float | None, as_json: bool) -> int:
    """Show workers, what they wait for, unfinished work, dead letters and the newest jobs.

    With --watch: progress, rates and time left as well, through outages of Redis.
    """
    settings = load_settings()
    if every is not None:
        # Imported once it is needed: a terminal takes longer to draw on than a line to print.
        from headrace.cli.status_watch import watch_status  # noqa: PLC0415

        watch_status(settings, every, as_json=as_json)
        return ExitCode.DONE
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
                    "lanes": {},
                    "collections": [],
                }
            )
        else:
            give(f"nothing is running in {settings.data_folder.absolute()}")
        return ExitCode.DONE
    status = asyncio.run(status_of(session.settings, jobs=SHOWN_JOBS))
    if as_json:
        give_json(status_as_dict(status, price_of(settings)))
    else:
        give("\n".join(_lines(status, settings)))
    return ExitCode.DONE


def _lines(status: Status, settings: Settings) -> list[str]:
    price = price_of(settings)
    lines = [f"{len(status.workers)} workers"]
    if status.producers or status.schedules:
        lines[0] += f", {len(status.producers)} producer workers, {status.schedules} schedules"
    lines += [f"schedule {name} is overdue: is a scheduler running?" for name in status.overdue]
    lines += _waits(status)
    if status.queues is not None and any(item.unfinished.batches for item in status.collections):
        waiting = ", ".join(f"{number} {lane}" for lane, number in status.queues.items())
        lines.append(f"messages waiting: {waiting}")
    oldest = max((work.oldest_ms for work in status.lanes.values()), default=0)
    if oldest:
        lines.append(f"oldest unfinished: {age_text(oldest / 1000)}")
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


def _waits(status: Status) -> list[str]:
    lines = []
    for worker, troubles in status.troubles.items():
        for trouble in troubles:
            seconds = max(0, status.now_ms - trouble.since_ms) / 1000
            lines.append(
                f"  {worker} waits for {trouble.dependency}, for {seconds:.0f} s: {trouble.reason}"
            )
    return lines


def _of(settings: Settings) -> str:
    """Say how much a source may use on a day, where that is limited in tokens."""
    most = settings.source_tokens_per_day
    return f" of {most} a day" if most else ""
