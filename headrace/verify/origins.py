"""Which of a collection's sources can be read from here."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from contract.ledger.promises import Promises
from headrace.namesakes import refuse_namesakes
from producers.sources.files import FileSource


async def find_sources(
    promises: Promises, given: Sequence[FileSource]
) -> tuple[dict[str, FileSource], Mapping[str, str]]:
    """Find the folders that sources were last read from.

    Args:
        promises: of the collection.
        given: what the user named; when that is something, it alone is looked at.

    Returns:
        The sources that are here, by name; and the others, with where they are said to lie.

    Raises:
        UsageError: what the user named was imported from another place.
    """
    await refuse_namesakes(promises, given)
    if given:
        return {source.name: source for source in given}, {}
    here, elsewhere = {}, {}
    for name, origin in (await promises.sources()).items():
        if await asyncio.to_thread(_is_folder, origin):
            here[name] = FileSource(name, origin)
        else:
            elsewhere[name] = origin
    return here, elsewhere


def _is_folder(origin: str) -> bool:
    return Path(origin).is_absolute() and Path(origin).is_dir()
