"""``headrace stream``: bring in documents from a Redis Stream."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import click
from pydantic import SecretStr

from contract.errors import UsageError
from contract.ledger.connection import check, connect
from contract.settings import Settings, address
from headrace.cli.exit_code import ExitCode
from headrace.cli.output import say
from headrace.cli.progress_line import ProgressLine
from headrace.cli.stream_options import StreamOptions, with_stream_options
from headrace.session import Session, open_session
from headrace.summary import Summary
from producers.sources.redis_stream import RedisStream


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was typed about the stream."""

    key: str
    source: str | None
    group: str | None
    url: str | None
    once: bool


@click.command("stream")
@click.argument("key", metavar="KEY")
@click.option("--source", metavar="NAME", help="Name of the source; default: KEY.")
@click.option("--group", metavar="NAME", help="Consumer group; default: headrace:COLLECTION.")
@click.option("--url", metavar="URL", help="Redis that has the stream; default: the ledger's.")
@click.option("--once", is_flag=True, help="End when all that is there is in the ledger.")
@with_stream_options
def stream_command(
    *,
    key: str,
    source: str | None,
    group: str | None,
    url: str | None,
    once: bool,
    **options: Any,
) -> int:
    """Bring in documents from the Redis Stream KEY, as they come, until Ctrl-C.

    An entry has a field `document` with the JSON of `headrace stdin`, or fields `id`, `text`,
    `metadata`, `vector`, `chunks`, `deleted`. It is acknowledged once the ledger has its
    document. Run as many of these as you like, on any machine: entries are shared, those of
    one that was killed go to the others, and the newest entry of an id wins.
    """
    asked = StreamOptions(**options)
    settings = asked.settings()
    typed = _Asked(key, source, group, url, once)
    try:
        summary = _run(settings, typed, detach=asked.detach)
    except KeyboardInterrupt:
        say("stopped; what was not acknowledged comes again, to the same command or another's")
        return ExitCode.STOPPED
    return asked.tell(summary, settings)


def _run(settings: Settings, asked: _Asked, *, detach: bool) -> Summary:
    with open_session(settings, say) as session, ProgressLine() as line:
        return asyncio.run(_bring(session, asked, line, detach=detach))


async def _bring(session: Session, asked: _Asked, line: ProgressLine, *, detach: bool) -> Summary:
    # Imported once they are needed: that takes seconds, for which --help need not wait.
    from headrace.importing import ImportOptions  # noqa: PLC0415
    from headrace.streaming import bring  # noqa: PLC0415
    from headrace.watching import outage_teller  # noqa: PLC0415

    settings = session.settings
    where = settings
    if asked.url is not None:
        where = settings.model_copy(update={"redis_url": SecretStr(asked.url)})
    try:
        redis = connect(
            where,
            patience_seconds=settings.outage_patience_seconds,
            on_trouble=outage_teller(Session(where, session.is_local), line.say),
        )
    except ValueError as error:
        raise UsageError(f"--url is no address of a Redis: {error}") from error

    def stream(dimension: int) -> RedisStream:
        return RedisStream(
            asked.source or asked.key,
            redis,
            where,
            asked.key,
            group=asked.group or f"headrace:{settings.collection}",
            origin=f"Redis stream {asked.key} at {address(asked.url)}" if asked.url else "",
            dimension=dimension,
            once=asked.once,
        )

    named = asked.source is not None
    options = ImportOptions(settings.collection, detach=detach, named_source=named)
    async with aclosing(redis):
        await check(redis, where)
        return await bring(session, options, stream, on_progress=line.show, say=line.say)
