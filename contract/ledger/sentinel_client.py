"""A client of the Redis that Sentinels name as the master, whoever that is at the time."""

from typing import Any

from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel

from contract.ledger.patience import Client
from contract.sentinel import Sentinels


class SentinelClient(Client):
    """A client that closes its connections to the Sentinels as well."""

    asked: Sentinel | None = None

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001 - redis-py's signature
        """Close all connections."""
        await super().aclose(close_connection_pool)
        if self.asked is not None:
            for one in self.asked.sentinels:
                await one.aclose()


def client_behind(sentinels: Sentinels, **options: Any) -> Redis:
    """Make a client; nothing is sent yet, and the caller closes it.

    Args:
        sentinels: whom to ask, and for which master.
        options: of connections, as redis-py has them.
    """
    sentinel = sentinels.asyncio_sentinel(**options)
    client: SentinelClient = sentinel.master_for(sentinels.master, redis_class=SentinelClient)
    client.asked = sentinel
    return client
