"""Documents for streams: some with vectors of their own, and what should come of them."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from contract.ids import document_id

DIMENSION = 384
_EVERY = 5


def document(number: int, edition: str = "first") -> dict[str, Any]:
    """Make a document of one chunk; each fifth brings its vector."""
    text = f"The {edition} wheel number {number} turns in the {number % 7}th channel."
    made: dict[str, Any] = {
        "id": f"wheel-{number}",
        "text": text,
        "metadata": {"number": number, "edition": edition},
    }
    if number % _EVERY == 0:
        made["vector"] = [float(axis == number % DIMENSION) for axis in range(DIMENSION)]
    return made


def lines(documents: Iterable[dict[str, Any]]) -> bytes:
    """Write documents as JSON Lines."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in documents)


def entries(documents: Iterable[dict[str, Any]]) -> Iterator[dict[str, str]]:
    """Write documents as entries of a stream: as one field, or each field by itself."""
    for number, one in enumerate(documents):
        if number % 2:
            yield {"document": json.dumps(one)}
        else:
            yield {
                name: value if isinstance(value, str) else json.dumps(value)
                for name, value in one.items()
            }


def chunks(source: str, numbers: Iterable[int]) -> dict[str, int]:
    """Say how many chunks each document has."""
    return {document_id(source, f"wheel-{number}".encode()): 1 for number in numbers}
