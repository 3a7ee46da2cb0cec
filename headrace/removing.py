"""Removing a source from start to summary."""

from collections.abc import Callable

from redis.asyncio import Redis

from contract.errors import UsageError
from contract.ledger.connection import check, connect, translated
from contract.ledger.letters import PAGE, Letters
from contract.ledger.records import DeadLetter
from contract.ledger.sources import Sources
from contract.settings import Settings
from headrace.importing import Import, ImportOptions
from headrace.progress import Progress
from headrace.session import Session
from headrace.summary import Summary
from producers.removing import Removal


async def remove_source(
    session: Session,
    collection: str,
    source: str,
    *,
    on_progress: Callable[[Progress], None],
    say: Callable[[str], None],
) -> Summary:
    """Delete all documents of a source and its dead letters, wait for that, and forget it.

    Killed anywhere, the same again does the rest: the source is known until all else is done.

    Args:
        session: the servers.
        collection: where the source's documents are.
        source: its name.
        on_progress: told several times a second how far it is.
        say: takes lines for a person.

    Raises:
        CancelledJobError: the job was cancelled from elsewhere.
        UnreachableError: a server does not answer.
        UsageError: someone brings documents of the source in meanwhile.
    """
    importing = Import(session, ImportOptions(collection), on_progress=on_progress, say=say)

    async def make(redis: Redis) -> list[Removal]:
        # Here, before its documents: whatever would bring them back (schedules of the source).
        return [Removal(redis, session.settings, collection, source)]

    (summary,) = await importing.produce(make)
    await _forget(session.settings, collection, source)
    return summary


async def _forget(settings: Settings, collection: str, source: str) -> None:
    redis = connect(settings)
    try:
        await check(redis, settings)
        with translated(settings):
            await _purge(Letters(redis, collection), source)
            if not await Sources(redis, collection).forget(source):
                raise UsageError(
                    f"documents of source {source!r} have come in meanwhile; end what brings "
                    "them, and run the same command again"
                )
    finally:
        await redis.aclose()


async def _purge(letters: Letters, source: str) -> None:
    page: list[DeadLetter] = []
    async for letter in letters.scan():
        if letter.source == source:
            page.append(letter)
        if len(page) >= PAGE:
            await letters.purge(page)
            page = []
    await letters.purge(page)
