"""The state of Redis itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from headrace.exporter import catalogue as c
from headrace.exporter.samples import Samples

_WRITES = ("rdb_last_bgsave_status", "aof_last_bgrewrite_status", "aof_last_write_status")


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """What Redis tells of itself."""

    info: Mapping[str, Any]

    def put(self, samples: Samples, now: float) -> None:  # noqa: ARG002 - of all sections
        """Put everything."""
        info = self.info
        samples.add(c.MEMORY, int(info.get("used_memory", 0)))
        samples.add(c.MAX_MEMORY, int(info.get("maxmemory", 0)))
        samples.add(c.EVICTED, int(info.get("evicted_keys", 0)))
        samples.add(c.CLIENTS, int(info.get("connected_clients", 0)))
        samples.add(c.PERSISTENCE, all(info.get(name, "ok") == "ok" for name in _WRITES))


async def read_redis(redis: Redis) -> RedisFacts:
    """Ask Redis.

    Raises:
        RedisError: it does not answer, or refuses.
    """
    pipe = redis.pipeline(transaction=False)
    for section in ("memory", "stats", "clients", "persistence"):
        pipe.info(section)
    info: dict[str, Any] = {}
    for part in await pipe.execute():
        info |= part
    return RedisFacts(info)
