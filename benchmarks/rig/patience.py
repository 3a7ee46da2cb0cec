"""Waiting for what only a look can tell."""

import asyncio
from collections.abc import Awaitable, Callable

_POLL_SECONDS = 0.03


async def until(holds: Callable[[], Awaitable[object]], what: str, seconds: float) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: it does not after this time; says what was waited for.
    """
    try:
        async with asyncio.timeout(seconds):
            while not await holds():  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise TimeoutError(f"waited {seconds:g} s in vain: {what}") from None
