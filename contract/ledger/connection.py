"""The way to Redis: one client a process and loop, with time-outs on every call."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

from contract.errors import TimedOutError, TransientError, UnreachableError, UsageError
from contract.ledger.patience import Client, Patience
from contract.ledger.sentinel_client import client_behind
from contract.sentinel import Sentinels, is_sentinel
from contract.settings import Settings, address

RETRIES = 3
"""Every step of the ledger may be repeated, so the client may (and alone does) retry."""


def connect(
    settings: Settings,
    *,
    patience_seconds: float | None = None,
    on_trouble: Callable[[str], None] = lambda _: None,
) -> Redis:
    """Make a client for the Redis of the ledger; nothing is sent yet.

    The caller closes it by ``aclose()``, in the event loop that used it.

    Args:
        settings: address and time-outs.
        patience_seconds: how long each call waits for a Redis that is away or full; None for
            a person at a terminal, who is told within a second or so. :func:`check` is quick
            with either, so ask it first: a wrong address is no outage.
        on_trouble: told why calls of a patient client wait, once, and "" when none waits any
            more because they got through.

    Raises:
        UsageError: no Redis is configured.
    """
    if settings.redis_url is None:
        raise UsageError(
            "no Redis is configured: set HEADRACE_REDIS_URL, or use a command that starts one "
            "(headrace import, headrace up)"
        )
    retry = (
        Retry(ExponentialWithJitterBackoff(base=0.05, cap=1.0), RETRIES)
        if patience_seconds is None
        else Patience(patience_seconds, on_trouble)
    )
    url = settings.redis_url.get_secret_value()
    options: dict[str, Any] = {
        "socket_timeout": settings.redis_timeout_seconds,
        "socket_connect_timeout": settings.connect_timeout_seconds,
        "health_check_interval": 30,
        "retry": retry,
        "retry_on_error": [exceptions.ConnectionError, exceptions.TimeoutError],
    }
    if is_sentinel(url):
        return client_behind(Sentinels.of(url), **options)
    client: Redis = Client.from_url(url, **options)
    return client


async def is_there(redis: Redis, within_seconds: float = 2.0) -> bool:
    """Tell whether Redis answers soon, however patient its client is."""
    try:
        async with asyncio.timeout(within_seconds):
            await redis.ping()
    except (exceptions.RedisError, TimeoutError):
        return False
    return True


@contextmanager
def translated(settings: Settings) -> Iterator[None]:
    """Turn redis-py's errors into ours, naming the address and never the password."""
    where = address(settings.redis_url) if settings.redis_url else "Redis"
    try:
        yield
    except (
        exceptions.AuthenticationError,
        exceptions.AuthorizationError,
        exceptions.NoPermissionError,
    ) as error:
        raise UsageError(f"Redis at {where} refuses these credentials") from error
    except exceptions.TimeoutError as error:
        raise TimedOutError(f"Redis at {where} did not answer in time") from error
    except exceptions.ConnectionError as error:
        raise UnreachableError(f"Redis at {where} can't be reached: {error}") from error
    except exceptions.InvalidResponse as error:
        raise UnreachableError(f"what answers at {where} is no Redis") from error
    except exceptions.NoScriptError as error:
        # A pipeline loads its scripts once; a restart between that and its commands loses them.
        raise TransientError(f"Redis at {where} was restarted in the middle of a call") from error
    except exceptions.RedisError as error:
        # Memory or disk full, read-only after a failover: someone can mend it, nothing is lost.
        raise TransientError(f"Redis at {where} refuses the call: {error}") from error


def text(value: object) -> str:
    """Read a string that Redis gave as bytes (or, says its typing, as str)."""
    return value.decode() if isinstance(value, bytes) else str(value)


async def check(client: Redis, settings: Settings) -> None:
    """Ask Redis for a sign of life, without patience.

    Raises:
        UnreachableError: there is none within the connect time-out.
        UsageError: it refuses the credentials.
    """
    if isinstance(client.get_retry(), Patience):
        async with connect(settings) as quick:
            return await check(quick, settings)
    try:
        async with asyncio.timeout(settings.connect_timeout_seconds):
            with translated(settings):
                await client.ping()
    except (TimeoutError, TimedOutError) as error:
        where = address(settings.redis_url) if settings.redis_url else "Redis"
        raise UnreachableError(
            f"Redis at {where} did not answer within {settings.connect_timeout_seconds:g} s"
        ) from error
