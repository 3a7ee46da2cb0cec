"""Bringing documents again whose rows are not what they should be."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from contract.ledger.connection import connect, translated
from contract.ledger.rebuilding import Rebuilding, State
from headrace.importing import Import, ImportOptions
from headrace.progress import Progress
from headrace.session import Session
from headrace.verify.differences import Findings
from producers.deleting import Deletions
from producers.sources.chosen_files import ChosenFiles
from producers.sources.files import FileSource

TOGETHER = 20_000
"""Documents of one job: their keys are held in memory."""


async def read_again(
    session: Session,
    collection: str,
    sources: Mapping[str, FileSource],
    findings: Findings,
    *,
    on_progress: Callable[[Progress], None],
    say: Callable[[str], None],
) -> int:
    """Import the documents that await it, from the sources that are here.

    Args:
        session: the servers.
        collection: whose documents.
        sources: those that are here, by name.
        findings: takes notes on what can't be read from here.
        on_progress: told several times a second how far it is.
        say: takes lines for a person.

    Returns:
        How many were found and given to an import.

    Raises:
        CancelledJobError: a job was cancelled from elsewhere.
        UnreachableError: a server does not answer.
    """
    options = ImportOptions(collection, named_source=True, deletions=Deletions.NEVER)
    importing = Import(session, options, on_progress=on_progress, say=say)
    redis = connect(session.settings)
    brought = 0
    try:
        with translated(session.settings):
            rebuilding = Rebuilding(redis, collection)
            for name in await rebuilding.sources():
                source = sources.get(name)
                if source is None:
                    await _note_absence(rebuilding, name, findings)
                    continue
                async for chosen in _chosen(rebuilding, source, findings):
                    brought += chosen.count
                    say(f"{chosen.count} documents of {name} are read again")
                    await importing.run([chosen])
    finally:
        await redis.aclose()
    return brought


async def _chosen(
    rebuilding: Rebuilding, source: FileSource, findings: Findings
) -> AsyncIterator[ChosenFiles]:
    """Choose the files of documents that await reading, some at a time."""
    chosen = ChosenFiles(source.name, source.root)
    async for page in rebuilding.pages(source.name):
        for state in page:
            if not state.awaits_reading:
                continue
            if await asyncio.to_thread(_is_here, chosen, source.root, state):
                chosen.choose(state.key_bytes)
            else:
                findings.note(
                    f"documents of source {source.name} are gone from {source.origin}; "
                    f"run: headrace import {source.origin}"
                )
        if chosen.count >= TOGETHER:
            yield chosen
            chosen = ChosenFiles(source.name, source.root)
    if chosen.count:
        yield chosen


def _is_here(chosen: ChosenFiles, root: str, state: State) -> bool:
    if not state.key_bytes or chosen.why_not(state.key_bytes):
        return False
    return Path(root, os.fsdecode(state.key_bytes)).is_file()


async def _note_absence(rebuilding: Rebuilding, name: str, findings: Findings) -> None:
    async for page in rebuilding.pages(name):
        if any(state.awaits_reading for state in page):
            findings.note(
                f"source {name} can't be read from here; to bring its documents again, run "
                f"where it lies: headrace import PATH --source {name} (or name PATH here)"
            )
            return
