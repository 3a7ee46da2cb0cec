"""Finding the items that are to blame: halve until they are alone.

A call that refuses one item of many refuses the whole; at most 2n - 1 calls find all bad
ones among n, and one bad one takes about 2 log2 n.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from contract.batch import Batch, Part
from contract.errors import HeadraceError, PermanentError

T = TypeVar("T")


def _refuses(error: HeadraceError) -> bool:
    return isinstance(error, PermanentError)


async def isolate(
    items: Sequence[T],
    call: Callable[[Sequence[T]], Awaitable[None]],
    blames: Callable[[HeadraceError], bool] = _refuses,
) -> list[tuple[T, HeadraceError]]:
    """Make a call for all items, in halves where it is refused.

    Args:
        items: what the call is for; the order is kept within each call.
        call: handles some of the items, or raises for them all.
        blames: whether an error is to be blamed on an item; any other is raised to the caller.

    Returns:
        The items that are refused alone, each with the reason.
    """
    if not items:
        return []
    try:
        await call(items)
    except HeadraceError as error:
        if not blames(error):
            raise
        if len(items) == 1:
            return [(items[0], error)]
        middle = len(items) // 2
        first = await isolate(items[:middle], call, blames)
        return first + await isolate(items[middle:], call, blames)
    return []


def halves(batch: Batch) -> tuple[Batch, Batch]:
    """Cut a batch of several parts, or of several chunks, in two.

    Raises:
        ValueError: there is but one thing in it.
    """
    parts = batch.parts
    if len(parts) == 1:
        (whole,) = parts
        middle = len(whole.chunks) // 2
        if not middle:
            raise ValueError("a batch of one chunk can't be halved")
        parts = (_cut(whole, 0, middle), _cut(whole, middle, len(whole.chunks)))
    middle = len(parts) // 2
    return (
        msgspec.structs.replace(batch, parts=parts[:middle]),
        msgspec.structs.replace(batch, parts=parts[middle:]),
    )


def _cut(part: Part, begin: int, end: int) -> Part:
    return msgspec.structs.replace(part, first=part.first + begin, chunks=part.chunks[begin:end])
