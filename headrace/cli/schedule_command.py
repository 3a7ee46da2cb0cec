"""``headrace schedule``: bring sources in again, at set times."""

import os
import time
from typing import Any

import click
import msgspec

from contract.errors import UsageError
from contract.presence import PRODUCERS_KEY, present_workers
from contract.prices import require_price
from contract.settings import Settings, load_settings
from headrace.cli.exit_code import ExitCode
from headrace.cli.ledger_call import with_redis
from headrace.cli.output import give, give_json, say
from headrace.cli.schedule_lines import (
    entry_as_dict,
    entry_line,
    entry_text,
    run_line,
    shown,
)
from headrace.duration import duration_seconds
from headrace.schedules.book import Book, Entry
from headrace.schedules.schedule import Missed, Overlap, Schedule
from headrace.schedules.timetable import Timetable
from headrace.session import is_local
from producers.deleting import Deletions
from producers.web.address import is_url

SHOWN_RUNS = 20


@click.group("schedule")
def schedule_command() -> None:
    """Add, list, show, pause, resume, run and remove schedules.

    `headrace scheduler` sees to it that they are run, `headrace producer` runs them; `headrace up`
    does both.
    """


@schedule_command.command("add")
@click.argument("name", metavar="NAME")
@click.argument("path", metavar="PATH")
@click.option("--cron", metavar="EXPR", default="", help='Five fields, such as "0 3 * * *".')
@click.option("--every", metavar="TIME", help="An interval: 90s, 15m, 1h30m, 2d.")
@click.option("--timezone", metavar="ZONE", default="UTC", help="Of --cron, as Europe/Berlin.")
@click.option("--jitter", metavar="TIME", help="Begin up to so much later, so as to spread load.")
@click.option("--collection", metavar="NAME", help="Collection in Milvus.")
@click.option("--source", metavar="NAME", default="", help="Name of the source.")
@click.option("--glob", metavar="GLOB", default="", help="Only files that match.")
@click.option("--lane", type=click.Choice(["auto", "live", "bulk"]), default="auto")
@click.option("--missed", type=click.Choice([item.value for item in Missed]), default="once")
@click.option("--overlap", type=click.Choice([item.value for item in Overlap]), default="skip")
@click.option("--shards", type=click.IntRange(1), default=1, help="Pieces brought in in parallel.")
@click.option("--max-tokens", type=click.IntRange(1), help="That a run may have embedded.")
@click.option("--max-cost", type=click.FloatRange(0), metavar="USD", help="Likewise.")
@click.option("--allow-deletes", is_flag=True, help="Delete what is gone, however much it is.")
@click.option("--no-delete", is_flag=True, help="Keep documents that are gone from the source.")
@click.option("--replace", is_flag=True, help="Change the schedule of this name.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def add_command(*, replace: bool, as_json: bool, **options: Any) -> int:
    """Bring PATH in again and again: what has changed, and nothing else.

    Missed slots (no scheduler ran) are run once, late, or skipped; a slot that is due while a run
    is still under way is skipped, queued, or cancels that one.
    """
    settings = load_settings(collection=options.pop("collection"))
    now_ms = _now_ms()
    schedule = _schedule(settings, now_ms, **options)
    require_price(settings, schedule.max_cost)

    async def put(book: Book) -> Entry:
        before = await book.find(schedule.name)
        if before is not None and before.schedule.declared_in:
            raise UsageError(
                f"{schedule.name} is declared in {before.schedule.declared_in}: change it there"
            )
        if not await book.put(schedule, replace=replace):
            raise UsageError(f"there is a schedule {schedule.name!r}; --replace changes it")
        return await _found(book, schedule.name)

    entry = with_redis(settings, lambda redis: put(Book(redis)))
    if as_json:
        give_json(entry_as_dict(entry, now_ms))
    else:
        give(f"{schedule.name}: {schedule.timetable.text()}; first run {shown(entry, now_ms)}")
        say(f"to run it now: headrace schedule run {schedule.name}")
        if is_local(settings):
            say("it is run while `headrace up` runs in this folder")
    return ExitCode.DONE


def _schedule(settings: Settings, now_ms: int, **options: Any) -> Schedule:
    if options["allow_deletes"] and options["no_delete"]:
        raise UsageError("--allow-deletes and --no-delete contradict each other: give one")
    deletions = Deletions.ALLOWED if options["allow_deletes"] else Deletions.GUARDED
    timetable = Timetable(
        cron=options["cron"],
        every_seconds=duration_seconds(options["every"]) if options["every"] else 0.0,
        timezone=options["timezone"],
        jitter_seconds=duration_seconds(options["jitter"]) if options["jitter"] else 0.0,
        anchor_ms=now_ms if options["every"] else 0,
    )
    path = options["path"]
    return Schedule(
        name=options["name"],
        path=path if is_url(path) else os.path.abspath(path),  # noqa: PTH100 - as in open_source
        timetable=timetable,
        collection=settings.collection,
        source=options["source"],
        glob=options["glob"],
        deletions=Deletions.NEVER if options["no_delete"] else deletions,
        missed=Missed(options["missed"]),
        overlap=Overlap(options["overlap"]),
        lane=options["lane"],
        shards=options["shards"],
        max_tokens=options["max_tokens"],
        max_cost=options["max_cost"],
    ).checked()


@schedule_command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_command(*, as_json: bool) -> int:
    """List all schedules, when each is due next, and how its last run ended."""

    async def read(book: Book) -> list[tuple[Entry, Any]]:
        entries = await book.entries()
        return [(entry, await book.runs(entry.schedule.name, 1)) for entry in entries]

    now_ms = _now_ms()
    found = with_redis(load_settings(), lambda redis: read(Book(redis)))
    if as_json:
        give_json([{**entry_as_dict(e, now_ms), "last": _as_dicts(runs)} for e, runs in found])
    else:
        lines = [entry_line(entry, runs[0] if runs else None, now_ms) for entry, runs in found]
        give("\n".join(lines) or "no schedules yet")
    return ExitCode.DONE


@schedule_command.command("show")
@click.argument("name", metavar="NAME")
@click.option("-n", "number", type=click.IntRange(1, 100), default=SHOWN_RUNS, help="Runs.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show_command(*, name: str, number: int, as_json: bool) -> int:
    """Show one schedule, and its newest runs: due, begun, how it ended, what it did."""

    async def read(book: Book) -> tuple[Entry, Any]:
        return await _found(book, name), await book.runs(name, number)

    now_ms = _now_ms()
    entry, runs = with_redis(load_settings(), lambda redis: read(Book(redis)))
    if as_json:
        give_json({**entry_as_dict(entry, now_ms), "runs": _as_dicts(runs)})
    else:
        give("\n".join([entry_text(entry, now_ms), *map(run_line, runs)]))
    return ExitCode.DONE


@schedule_command.command("pause")
@click.argument("name", metavar="NAME")
def pause_command(*, name: str) -> int:
    """Let a schedule rest; a run that is under way goes on."""
    return _pause(name, paused=True)


@schedule_command.command("resume")
@click.argument("name", metavar="NAME")
def resume_command(*, name: str) -> int:
    """Let a schedule go on; what was due meanwhile is not made up for."""
    return _pause(name, paused=False)


def _pause(name: str, *, paused: bool) -> int:
    async def change(book: Book) -> Entry:
        await book.pause(name, paused=paused)
        return await _found(book, name)

    now_ms = _now_ms()
    entry = with_redis(load_settings(), lambda redis: change(Book(redis)))
    give(f"{name}: " + ("paused" if paused else f"next run {shown(entry, now_ms)}"))
    return ExitCode.DONE


@schedule_command.command("run")
@click.argument("name", metavar="NAME")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def run_command(*, name: str, as_json: bool) -> int:
    """Run a schedule now, also one that is paused; behind a run that is under way."""

    async def request(redis: Any) -> tuple[str, list[str]]:
        return await Book(redis).request(name), await present_workers(redis, PRODUCERS_KEY)

    run_id, producers = with_redis(load_settings(), request)
    if as_json:
        give_json({"run": run_id, "producers": producers})
    else:
        give(f"{run_id}; `headrace schedule show {name}` tells how it goes")
    if not producers:
        say("no producer worker is here now: it waits until one comes (`headrace producer`)")
    return ExitCode.DONE


@schedule_command.command("remove")
@click.argument("name", metavar="NAME")
def remove_command(*, name: str) -> int:
    """Forget a schedule and its history; its documents stay, a run under way is cancelled."""

    async def remove(book: Book) -> None:
        entry = await _found(book, name)
        if entry.schedule.declared_in:
            raise UsageError(f"{name} is declared in {entry.schedule.declared_in}: remove it there")
        await book.remove(name)

    with_redis(load_settings(), lambda redis: remove(Book(redis)))
    give(f"{name}: removed")
    return ExitCode.DONE


async def _found(book: Book, name: str) -> Entry:
    entry = await book.find(name)
    if entry is None:
        raise UsageError(f"there is no schedule {name!r}; `headrace schedule list` names them")
    return entry


def _as_dicts(runs: Any) -> list[dict[str, Any]]:
    return [msgspec.to_builtins(run.as_dict()) for run in runs]


def _now_ms() -> int:
    return round(time.time() * 1000)
