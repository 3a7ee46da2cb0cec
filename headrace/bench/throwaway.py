"""Collections and ledgers that exist for one run of a benchmark, and leave nothing behind."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pymilvus import MilvusClient
from redis.asyncio import Redis

from contract.errors import UsageError
from contract.ledger.jobs import collections
from contract.ledger.ledger import Ledger
from contract.names import COLLECTIONS_KEY, QUEUES, Keys
from contract.presence import present_workers
from contract.queue import make_app
from contract.settings import Settings
from worker.milvus import translated

PREFIX = "headrace_bench"
_KEYS_AT_ONCE = 500
_DROP_SECONDS = 30.0


class Throwaway:
    """Gives names that nobody uses, and removes what was made under them."""

    def __init__(self, redis: Redis, client: MilvusClient, settings: Settings) -> None:
        """Use clients that the caller closes."""
        self._redis = redis
        self._client = client
        self._settings = settings

    async def refuse_company(self) -> None:
        """Make sure that nobody else works with this Redis.

        Workers of others would take our batches and find a model that is not theirs; ours
        would take the batches of others.

        Raises:
            UsageError: workers run, or something is unfinished.
        """
        if await present_workers(self._redis):
            raise UsageError(
                "workers run on this Redis, and would take part in the measurement: stop them, or "
                "name another HEADRACE_REDIS_URL"
            )
        for name in await collections(self._redis):
            if (await Ledger(self._redis, name).totals()).batches:
                raise UsageError(
                    f"collection {name!r} has unfinished batches in this Redis, which would mix "
                    "with those of the measurement; finish them, or name another "
                    "HEADRACE_REDIS_URL"
                )

    @asynccontextmanager
    async def collection(self, what: str) -> AsyncIterator[str]:
        """Give a name; collection, alias and ledger of this name go when the block ends."""
        name = f"{PREFIX}_{secrets.token_hex(4)}_{what}"
        try:
            yield name
        finally:
            await self._forget(name)
            with translated(self._settings):
                await asyncio.to_thread(drop_collections, self._client, f"{name}_")

    async def empty_queue(self) -> None:
        """Drop messages that stopped runs have left; the queue is only a hint anyway."""
        await asyncio.to_thread(self._purge)

    def _purge(self) -> None:
        with make_app(self._settings).connection_for_write() as connection:
            for queue in QUEUES:
                connection.default_channel.queue_purge(queue)

    async def _forget(self, name: str) -> None:
        await self._redis.srem(COLLECTIONS_KEY, name)
        pattern = Keys(name).prefix + "*"
        keys = [key async for key in self._redis.scan_iter(pattern, count=_KEYS_AT_ONCE)]
        for at in range(0, len(keys), _KEYS_AT_ONCE):
            await self._redis.unlink(*keys[at : at + _KEYS_AT_ONCE])


def drop_collections(client: MilvusClient, name: str) -> None:
    """Drop every collection whose name begins so; aliases go first, as Milvus demands."""
    for collection in client.list_collections(timeout=_DROP_SECONDS):
        if not collection.startswith(name):
            continue
        for alias in client.list_aliases(collection, timeout=_DROP_SECONDS).get("aliases", []):
            client.drop_alias(alias, timeout=_DROP_SECONDS)
        client.drop_collection(collection, timeout=_DROP_SECONDS)
