"""Rebuilding a lost ledger from the rows in Milvus; nothing is embedded or read for that."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from contract.ledger.rebuilding import Rebuilding
from headrace.verify.adopting import Stranger, strangers
from headrace.verify.grouping import Grouper, Held
from headrace.verify.rows import Rows, slices

TOGETHER = 200
"""Documents that are looked up together."""


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild did."""

    adopted: int = 0
    """Documents that are known again."""
    incomplete: int = 0
    """Documents that are to be read again: no version of them is whole."""
    foreign: int = 0
    """Rows that are none of headrace's."""


async def rebuild(rows: Rows, rebuilding: Rebuilding) -> Rebuilt:
    """Enter all documents of a collection that the ledger does not know.

    Killed anywhere, the same again does the rest; what the ledger knows stays as it is.

    Raises:
        TransientError: Milvus does not answer.
        RedisError: the ledger does not answer.
    """
    done = Rebuilt()
    async for held, foreign in documents(rows):
        done.foreign += len(foreign)
        for some in slices(held, TOGETHER):
            states = await rebuilding.states([item.document_id for item in some])
            unknown = [i for i, s in zip(some, states, strict=True) if not s.is_known]
            for stranger, entered in await adopt(rows, rebuilding, await strangers(rows, unknown)):
                done.adopted += bool(entered and stranger.adoption.version)
                done.incomplete += bool(entered and not stranger.adoption.version)
    await rebuilding.mark_built()
    return done


async def documents(rows: Rows) -> AsyncIterator[tuple[list[Held], list[str]]]:
    """Give all documents that Milvus holds, and ids that belong to none, page by page."""
    grouper = Grouper()
    async for page in rows.pages():
        yield grouper.add(page)
    yield grouper.rest(), []


async def adopt(
    rows: Rows, rebuilding: Rebuilding, found: list[Stranger]
) -> list[tuple[Stranger, bool]]:
    """Enter documents, and delete their rows of other versions than the one entered.

    Returns:
        Each with whether it was entered by this call.
    """
    entered = await rebuilding.adopt([item.adoption for item in found])
    pairs = list(zip(found, entered, strict=True))
    await rows.delete(
        chunk_id
        for item, was_entered in pairs
        if was_entered and item.adoption.version
        for chunk_id in item.other_ids()
    )
    return pairs
