"""Ending tasks of an event loop."""

import asyncio
from collections.abc import Coroutine
from typing import Any

AGAIN_SECONDS = 1.0


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it is done, whatever it raises.

    Asked again until it obeys: redis-py 8 swallows a cancellation that comes at the moment
    when it opens a connection.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=AGAIN_SECONDS)
    if not task.cancelled():
        task.exception()  # seen: the loop need not warn of it


async def first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Run works side by side until one of them returns or raises; the others are ended then."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            await end(task)
