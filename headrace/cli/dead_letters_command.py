"""``headrace dead-letters``: documents that could not be ingested, and what to do about them."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeVar

import click
from redis.asyncio import Redis

from contract.errors import UsageError
from contract.ledger.letters import PAGE, Letters
from contract.ledger.records import DeadLetter
from contract.settings import load_settings
from headrace.cli.exit_code import ExitCode
from headrace.cli.ledger_call import call_redis, with_redis
from headrace.cli.letter_lines import HEADINGS, cells_of, table_line, text_of
from headrace.cli.moment import Moment
from headrace.cli.output import JsonArray, give, give_json, say
from headrace.cli.progress_line import ProgressLine
from headrace.letters import dead_chunks, letter_as_dict
from headrace.selection import Selection
from headrace.session import is_local, open_session, running_session

if TYPE_CHECKING:
    from headrace.replaying import ReplaySummary

T = TypeVar("T")
Command = Callable[..., Any]

_FILTERS = (
    click.argument("documents", metavar="[DOCUMENT]...", nargs=-1),
    click.option("--collection", metavar="NAME", help="Only of this collection."),
    click.option("--source", metavar="NAME", help="Only of this source."),
    click.option("--reason", metavar="WORD", help="Only with this reason."),
    click.option("--stage", type=click.Choice(["read", "embed", "write"]), help="Only of this."),
    click.option("--since", type=Moment(), help="Not older: a time (UTC), or an age as 2h, 3d."),
    click.option("--until", type=Moment(), help="Not newer: likewise."),
    click.option("--json", "as_json", is_flag=True, help="Print as JSON."),
)
_RUN = (
    click.option("--workers", type=click.IntRange(1), help="Worker processes of a local run."),
    click.option("--detach", is_flag=True, help="Publish, and leave the rest to running workers."),
)


def _with_options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


@click.group("dead-letters")
def dead_letters_command() -> None:
    """List, show, replay, accept and purge what could not be ingested.

    DOCUMENTs are keys (paths) or ids; without any, and without filters, all are meant.
    """


@dead_letters_command.command("list")
@_with_options(*_FILTERS)
def list_command(*, as_json: bool, **filters: Any) -> int:
    """List dead letters: key, source, stage, reason, attempts, age, message."""
    selection = _selection(**filters)
    return with_redis(load_settings(), lambda redis: _list(redis, selection, as_json=as_json))


async def _list(redis: Redis, selection: Selection, *, as_json: bool) -> int:
    now_ms = round(time.time() * 1000)
    letters = selection.letters(redis)
    if as_json:
        with JsonArray() as array:
            async for collection, letter in letters:
                array.give(letter_as_dict(collection, letter))
        return ExitCode.DONE
    line = table_line if sys.stdout.isatty() else "\t".join
    number = 0
    async for _, letter in letters:
        if not number:
            give(line(HEADINGS))
        number += 1
        give(line(cells_of(letter, now_ms)))
    say(f"{number} dead letters" if number else "no dead letters")
    return ExitCode.DONE


@dead_letters_command.command("show")
@_with_options(*_FILTERS)
def show_command(*, as_json: bool, **filters: Any) -> int:
    """Show everything that is known of dead letters, and the texts that are to blame."""
    selection = _selection(**filters)
    found = with_redis(load_settings(), lambda redis: _show(redis, selection, as_json=as_json))
    if not found and selection.documents:
        raise UsageError(f"no dead letter of {', '.join(sorted(selection.documents))}")
    return ExitCode.DONE


async def _show(redis: Redis, selection: Selection, *, as_json: bool) -> int:
    """Show letters; gives their number."""
    number = 0
    letters = selection.letters(redis)
    if as_json:
        with JsonArray() as array:
            async for collection, letter in letters:
                number += 1
                chunks = [{"ordinal": c.ordinal, "text": c.text} for c in dead_chunks(letter)]
                array.give({**letter_as_dict(collection, letter), "dead_chunks": chunks})
        return number
    async for collection, letter in letters:
        number += 1
        give(text_of(collection, letter))
    if not number:
        say("no dead letters")
    return number


@dead_letters_command.command("replay")
@_with_options(*_FILTERS, *_RUN)
def replay_command(**options: Any) -> int:
    """Try documents once more, after what kept them out is mended."""
    return _replay(accept=False, **options)


@dead_letters_command.command("accept")
@_with_options(*_FILTERS, *_RUN)
def accept_command(**options: Any) -> int:
    """Bring documents in without the chunks that are to blame; they count as partial."""
    return _replay(accept=True, **options)


def _replay(
    *, accept: bool, as_json: bool, workers: int | None, detach: bool, **filters: Any
) -> int:
    # Imported once it is needed: it takes seconds, for which --help need not wait.
    from headrace.replaying import replay, text_of  # noqa: PLC0415

    selection = _selection(**filters)
    settings = load_settings(workers=workers)
    if detach and is_local(settings) and running_session(settings) is None:
        raise UsageError("--detach needs servers and workers that stay: run `headrace up` first")
    summaries: list[ReplaySummary] = []
    try:
        with open_session(settings, say) as session, ProgressLine() as line:
            summaries = asyncio.run(
                replay(
                    session,
                    selection,
                    accept=accept,
                    detach=detach,
                    on_progress=line.show,
                    say=line.say,
                )
            )
    except KeyboardInterrupt:
        say("stopped; nothing is half done. To go on, run the same command again")
        return ExitCode.STOPPED
    if as_json:
        give_json([summary.as_dict() for summary in summaries])
    elif summaries:
        give("\n".join(text_of(summary) for summary in summaries))
    else:
        say("no dead letters, so there is nothing to do")
    left = any(summary.has_dead_letters for summary in summaries)
    return ExitCode.DEAD_LETTERS if left else ExitCode.DONE


@dead_letters_command.command("purge")
@_with_options(*_FILTERS)
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge_command(*, yes: bool, as_json: bool, **filters: Any) -> int:
    """Forget dead letters; their documents keep the version before, if there is one."""
    selection = _selection(**filters)
    with open_session(load_settings(), say) as session:
        number = call_redis(session.settings, lambda redis: _count(redis, selection))
        if number and not yes:
            _ask(number)
        purged = 0
        if number:
            purged = call_redis(session.settings, lambda redis: _purge(redis, selection))
    if as_json:
        give_json({"purged": purged})
    else:
        give(f"{purged} dead letters forgotten")
    return ExitCode.DONE


def _ask(number: int) -> None:
    """Have a person say yes.

    Raises:
        UsageError: there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise UsageError(
            f"{number} dead letters would be forgotten, and nobody is here to be asked: say --yes"
        )
    click.confirm(f"Forget {number} dead letters? This can't be undone", abort=True, err=True)


async def _count(redis: Redis, selection: Selection) -> int:
    number = 0
    async for _ in selection.letters(redis):
        number += 1
    return number


async def _purge(redis: Redis, selection: Selection) -> int:
    purged = 0
    for collection in await selection.collections(redis):
        letters = Letters(redis, collection)
        async for page in _pages(letters, selection):
            purged += await letters.purge(page)
    return purged


async def _pages(letters: Letters, selection: Selection) -> AsyncIterator[list[DeadLetter]]:
    page: list[DeadLetter] = []
    async for letter in letters.scan():
        if selection.matches(letter):
            page.append(letter)
        if len(page) >= PAGE:
            yield page
            page = []
    if page:
        yield page


def _selection(
    *,
    documents: tuple[str, ...],
    collection: str | None,
    source: str | None,
    reason: str | None,
    stage: str | None,
    since: int | None,
    until: int | None,
) -> Selection:
    return Selection(collection, source, reason, stage, since, until, frozenset(documents))
