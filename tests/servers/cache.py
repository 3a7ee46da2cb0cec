"""A Redis that is meant as a cache."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.servers.redis import RedisServer, redis_server

MOST_BYTES = 8 * 1024 * 1024


@contextlib.contextmanager
def cache_server(folder: Path, policy: str = "allkeys-lru") -> Iterator[RedisServer]:
    """Run a server with a bound of ``MOST_BYTES``."""
    folder.mkdir(exist_ok=True)
    options = ("--maxmemory", str(MOST_BYTES), "--maxmemory-policy", policy)
    with redis_server(folder, options=options) as server:
        yield server
