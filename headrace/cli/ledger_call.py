"""A call of a command to the Redis of the ledger."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import Redis

from contract.ledger.connection import check, connect, translated
from contract.settings import Settings
from headrace.cli.output import say
from headrace.session import open_session

T = TypeVar("T")


def with_redis(settings: Settings, call: Callable[[Redis], Awaitable[T]]) -> T:
    """Make a call on a client that is closed afterwards; embedded servers are started for it.

    Raises:
        UnreachableError: Redis does not answer.
        UsageError: it refuses the credentials, or servers are half configured.
    """
    with open_session(settings, say) as session:
        return call_redis(session.settings, call)


def call_redis(settings: Settings, call: Callable[[Redis], Awaitable[T]]) -> T:
    """Make a call on servers that are there, on a client that is closed afterwards.

    Raises:
        UnreachableError: Redis does not answer.
        UsageError: it refuses the credentials.
    """
    return asyncio.run(_made(settings, call))


async def _made(settings: Settings, call: Callable[[Redis], Awaitable[T]]) -> T:
    redis = connect(settings)
    try:
        await check(redis, settings)
        with translated(settings):
            return await call(redis)
    finally:
        await redis.aclose()
