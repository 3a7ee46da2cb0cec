"""A numbered listing of a source: what neither it nor a later one has seen is gone."""

from dataclasses import dataclass

from contract.ledger.promises import Promises
from producers.sources.source import Source


@dataclass(frozen=True, slots=True)
class Listing:
    """One listing, by one producer or by several that share it."""

    number: int
    known: int
    """How many documents the source had before it."""


async def begin_listing(promises: Promises, source: Source) -> Listing:
    """Number a new listing of a source."""
    known = await promises.count(source.name)
    return Listing(await promises.begin_listing(source.name, source.origin), known)
