"""Finding the items that are refused: halve until they are alone.

A call that refuses one item of many refuses the whole; at most 2n - 1 calls find all bad
ones among n, and one bad one takes about 2 log2 n.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from contract.errors import PermanentError

T = TypeVar("T")


async def isolate(
    items: Sequence[T], call: Callable[[Sequence[T]], Awaitable[None]]
) -> list[tuple[T, PermanentError]]:
    """Make a call for all items, in halves where it is refused.

    Args:
        items: what the call is for; the order is kept within each call.
        call: handles some of the items, or refuses them all by a PermanentError.

    Returns:
        The items that are refused alone, each with the reason.
    """
    if not items:
        return []
    try:
        await call(items)
    except PermanentError as error:
        if len(items) == 1:
            return [(items[0], error)]
        middle = len(items) // 2
        return await isolate(items[:middle], call) + await isolate(items[middle:], call)
    return []
