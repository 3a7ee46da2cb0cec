"""What the tests of verification share."""

import itertools
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from contract.settings import Settings
from tests.headrace.verify.archive import Archive, open_archive

_numbers = itertools.count()


@pytest.fixture
async def archive(settings: Settings, redis: Redis, milvus_uri: str) -> AsyncIterator[Archive]:
    """Give a new collection, on each of the two Milvus servers in turn."""
    ours = settings.model_copy(update={"milvus_uri": milvus_uri})
    async with open_archive(ours, redis, f"archive{next(_numbers)}") as made:
        yield made
