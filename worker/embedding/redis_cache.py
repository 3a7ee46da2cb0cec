"""A cache of vectors in a Redis that is meant as one: its own bound keeps it small."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

from pydantic import SecretStr
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from contract.errors import TransientError, UsageError
from contract.settings import address

PREFIX = b"headrace:vector:"
KEPT_SECONDS = 365 * 24 * 3600
"""So that ``volatile-*`` policies may evict them, and nothing stays for ever."""


class RedisCache:
    """Vectors as plain values, one command for all of a call; no client is shared with others.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        timeout_seconds: for each answer.
    """

    def __init__(self, url: SecretStr, timeout_seconds: float) -> None:
        self._where = address(url)
        self._redis: Redis = Redis.from_url(
            url.get_secret_value(),
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            # Once more at once: a connection that a restart has cut is no trouble yet.
            retry=Retry(NoBackoff(), 1),
            retry_on_error=[exceptions.ConnectionError],
        )

    async def check(self) -> None:
        """See that the server has a bound and evicts; where it does not tell, believe it.

        Raises:
            UsageError: it has none, or refuses the credentials.
            TransientError: it does not answer.
        """
        with self._translated():
            try:
                memory = await self._redis.info("memory")
            except exceptions.AuthenticationError as error:
                raise UsageError(
                    f"the embedding cache at {self._where} refuses these credentials"
                ) from error
            except exceptions.ResponseError:  # not allowed, or no such command there
                return
        if memory.get("maxmemory") == 0:
            raise UsageError(
                f"the embedding cache at {self._where} would grow without bound: set maxmemory "
                "there, and maxmemory-policy allkeys-lru"
            )
        if memory.get("maxmemory_policy") == "noeviction":
            raise UsageError(
                f"the embedding cache at {self._where} would be full for good: set "
                "maxmemory-policy allkeys-lru there. The Redis of the ledger must not evict, so "
                "the cache needs one of its own"
            )

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """Give the values in the order of the keys, None for those that are not there."""
        with self._translated():
            values = await self._redis.mget([PREFIX + key for key in keys])
        return cast("list[bytes | None]", values)  # nothing is decoded by this client

    async def write(self, values: Mapping[bytes, bytes]) -> None:
        """Keep values, in one round trip."""
        pipe = self._redis.pipeline(transaction=False)
        for key, value in values.items():
            pipe.set(PREFIX + key, value, ex=KEPT_SECONDS)
        with self._translated():
            await pipe.execute()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Whatever Redis says is trouble that may pass: nothing depends on a cache."""
        try:
            yield
        except exceptions.RedisError as error:
            said = str(error) or type(error).__name__
            raise TransientError(f"the embedding cache at {self._where}: {said}") from error
