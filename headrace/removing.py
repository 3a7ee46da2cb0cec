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
from headrace.schedules.book import Book
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
    """Delete a source's schedules, documents and dead letters, wait for that, and forget it.

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
        UsageError: someone brings documents of the source in meanwhile, or a schedule of it is
            declared in a file.
    """
    importing = Import(session, ImportOptions(collection), on_progress=on_progress, say=say)

    async def make(redis: Redis) -> list[Removal]:
        await _remove_schedules(Book(redis), collection, source)  # they would bring it back
        return [Removal(redis, session.settings, collection, source)]

    (summary,) = await importing.produce(make)
    await _forget(session.settings, collection, source)
    return summary


async def _remove_schedules(book: Book, collection: str, source: str) -> None:
    """Remove the schedules of a source; a run under way is cancelled.

    Raises:
        UsageError: one of them is declared in a file, which would bring it back.
    """
    found = await book.of_source(collection, source)
    for schedule in found:
        if schedule.declared_in:
            raise UsageError(
                f"schedule {schedule.name!r} of source {source!r} is declared in "
                f"{schedule.declared_in}: remove it there first"
            )
    for schedule in found:
        await book.remove(schedule.name)


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
