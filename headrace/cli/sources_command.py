"""``headrace sources``: where documents come from, and how long they stay."""

import asyncio
import sys
import time
from typing import Any

import click
from redis.asyncio import Redis

from contract.errors import UsageError
from contract.ledger.jobs import collections
from contract.ledger.sources import Sources, SourceState
from contract.settings import load_settings
from headrace.cli.duration import Duration
from headrace.cli.exit_code import ExitCode
from headrace.cli.ledger_call import call_redis, with_redis
from headrace.cli.letter_lines import age_of
from headrace.cli.output import give, give_json, say
from headrace.cli.progress_line import ProgressLine
from headrace.duration import duration_text
from headrace.schedules.book import Book
from headrace.session import open_session
from headrace.summary import Summary

_COLLECTION = click.option("--collection", metavar="NAME", help="Collection in Milvus.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
_NAME = click.argument("name", metavar="NAME")


@click.group("sources")
def sources_command() -> None:
    """List, show and remove sources, and say how long their documents stay."""


@sources_command.command("list")
@click.option("--collection", metavar="NAME", help="Only of this collection.")
@_JSON
def list_command(*, collection: str | None, as_json: bool) -> int:
    """List sources: collection, name, documents, last seen, time to live, origin."""

    async def read(redis: Redis) -> list[tuple[str, SourceState]]:
        names = [collection] if collection else await collections(redis)
        return [(name, state) for name in names for state in await Sources(redis, name).all()]

    found = with_redis(load_settings(), read)
    if as_json:
        give_json([_as_dict(name, state) for name, state in found])
    else:
        give("\n".join(_line(name, state) for name, state in found) or "no sources yet")
    return ExitCode.DONE


@sources_command.command("show")
@_NAME
@_COLLECTION
@_JSON
def show_command(*, name: str, collection: str | None, as_json: bool) -> int:
    """Show one source, and how many rows its documents have."""
    settings = load_settings(collection=collection)
    state, rows = with_redis(settings, lambda redis: _counted(redis, settings.collection, name))
    shown = {**_as_dict(settings.collection, state), "rows": rows}
    if as_json:
        give_json(shown)
    else:
        give(
            "\n".join(f"{key:<14} {'' if value is None else value}" for key, value in shown.items())
        )
    return ExitCode.DONE


@sources_command.command("set")
@_NAME
@_COLLECTION
@click.option(
    "--ttl", type=Duration(), required=True, help="As 12h, 30d; `none`: documents stay for ever."
)
@_JSON
def set_command(*, name: str, collection: str | None, ttl: int, as_json: bool) -> int:
    """Say how long a document stays that no listing and no stream shows any more."""
    settings = load_settings(collection=collection)

    async def write(redis: Redis) -> SourceState:
        await _known(redis, settings.collection, name)
        await Sources(redis, settings.collection).set_ttl(name, ttl or None)
        return await _known(redis, settings.collection, name)

    state = with_redis(settings, write)
    if as_json:
        give_json(_as_dict(settings.collection, state))
    elif state.ttl_seconds is None:
        give(f"documents of {name} stay for ever")
    else:
        give(
            f"documents of {name} are deleted after {duration_text(state.ttl_seconds)} unseen; "
            "`headrace scheduler` and `headrace up` see to it"
        )
    return ExitCode.DONE


@sources_command.command("remove")
@_NAME
@_COLLECTION
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--workers", type=click.IntRange(1), help="Worker processes of a local run.")
@_JSON
def remove_command(
    *, name: str, collection: str | None, yes: bool, workers: int | None, as_json: bool
) -> int:
    """Delete a source's documents, dead letters and schedules, and forget the source."""
    settings = load_settings(collection=collection, workers=workers)
    with open_session(settings, say) as session:
        state, rows = call_redis(
            session.settings, lambda redis: _counted(redis, settings.collection, name)
        )
        schedules = call_redis(
            session.settings, lambda redis: Book(redis).of_source(settings.collection, name)
        )
        if not yes:
            _ask(state, rows, len(schedules), settings.collection)
        try:
            summary = _remove(session, settings.collection, name)
        except KeyboardInterrupt:
            say("stopped; to go on, run the same command again")
            return ExitCode.STOPPED
    if as_json:
        give_json({**summary.as_dict(), "rows": rows, "schedules": len(schedules)})
    else:
        gone = f", {len(schedules)} schedules" if schedules else ""
        give(f"source {name} removed: {state.documents} documents, {rows} rows{gone}")
    return ExitCode.DONE


def _remove(session: Any, collection: str, name: str) -> Summary:
    # Imported once it is needed: it takes seconds, for which --help need not wait.
    from headrace.removing import remove_source  # noqa: PLC0415

    with ProgressLine() as line:
        return asyncio.run(
            remove_source(session, collection, name, on_progress=line.show, say=line.say)
        )


def _ask(state: SourceState, rows: int, schedules: int, collection: str) -> None:
    """Have a person say yes.

    Raises:
        UsageError: there is nobody to ask.
    """
    what = f"{state.documents} documents of source {state.name!r} with {rows} rows in {collection}"
    what += f" and {schedules} schedules" if schedules else ""
    if not sys.stdin.isatty():
        raise UsageError(f"{what} would be deleted, and nobody is here to be asked: say --yes")
    click.confirm(f"Delete {what}? This can't be undone", abort=True, err=True)


async def _known(redis: Redis, collection: str, name: str) -> SourceState:
    state = await Sources(redis, collection).get(name)
    if state is None:
        raise UsageError(
            f"collection {collection!r} has no source {name!r}; `headrace sources list` names them"
        )
    return state


async def _counted(redis: Redis, collection: str, name: str) -> tuple[SourceState, int]:
    return await _known(redis, collection, name), await Sources(redis, collection).rows(name)


def _as_dict(collection: str, state: SourceState) -> dict[str, Any]:
    seen = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(state.listed_ms / 1000))
    return {
        "collection": collection,
        "source": state.name,
        "origin": state.origin,
        "documents": state.documents,
        "last_seen": seen if state.listed_ms else None,
        "ttl_seconds": state.ttl_seconds,
    }


def _line(collection: str, state: SourceState) -> str:
    now_ms = round(time.time() * 1000)
    seen = f"seen {age_of(state.listed_ms, now_ms)} ago" if state.listed_ms else "not seen yet"
    ttl = "" if state.ttl_seconds is None else f", ttl {duration_text(state.ttl_seconds)}"
    return f"{collection}  {state.name}  {state.documents} documents, {seen}{ttl}" + (
        f"  {state.origin}" if state.origin else ""
    )
