"""Vectors that are there already: read back for texts that a document had before.

A matter of cost alone: whatever is not found is embedded.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contract.batch import Part
from contract.ids import chunk_ids
from contract.ledger.records import Rows
from worker.store import GIVEN, IDS_IN_ONE_READ, StoredRow

MARGIN = 100
"""Chunks on either side of a part's place that are looked at first: texts move a little."""
FRUITLESS_READS = 8
"""After so many that found nothing the rest is embedded: reading costs time as well."""

Read = Callable[[Sequence[str]], Awaitable[Mapping[str, StoredRow]]]


@dataclass(frozen=True, slots=True)
class Search:
    """Where the texts of a part may be found."""

    part: Part
    rows: Rows


async def find_vectors(searches: Sequence[Search], read: Read) -> dict[str, NDArray[np.float32]]:
    """Find the vectors of texts among committed rows, by exact text.

    Args:
        searches: rows near to the part's own place are read first, those of all parts together.
        read: reads some rows, at most ``IDS_IN_ONE_READ``; only what is needed of them is kept.

    Returns:
        Text to vector, for the texts that were found.
    """
    texts = [{chunk.text for chunk in search.part.chunks} for search in searches]
    places = [_places(search) for search in searches]
    missing = set().union(*texts)
    found: dict[str, NDArray[np.float32]] = {}
    fruitless = 0
    while missing and fruitless < FRUITLESS_READS:
        ids = [
            chunk_id
            for search, wanted, ranges in zip(searches, texts, places, strict=True)
            if not wanted.isdisjoint(missing)
            for chunk_id in chunk_ids(
                search.rows.document_id, search.rows.version, next(ranges, range(0))
            )
        ]
        if not ids:
            break
        before = len(found)
        for at in range(0, len(ids), IDS_IN_ONE_READ):
            for row in (await read(ids[at : at + IDS_IN_ONE_READ])).values():
                # A vector that someone gave is not what the model makes of the text.
                if row.text in missing and row.vector is not None and not row.metadata.get(GIVEN):
                    missing.discard(row.text)
                    found[row.text] = row.vector
        fruitless = fruitless + 1 if len(found) == before else 0
    return found


def _places(search: Search) -> Iterator[range]:
    """Cut all ordinals of the rows into ranges: near the part's first, then further off."""
    ordinals, count = search.part.ordinals, search.rows.count
    begin = min(max(ordinals.start - MARGIN, 0), count)
    end = min(ordinals.stop + MARGIN, count)
    if begin < end:
        yield range(begin, end)
    while begin > 0 or end < count:
        if end < count:
            after, end = end, min(end + IDS_IN_ONE_READ, count)
            yield range(after, end)
        if begin > 0:
            before, begin = begin, max(begin - IDS_IN_ONE_READ, 0)
            yield range(begin, before)
