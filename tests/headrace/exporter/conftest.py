"""What the tests of the exporter share."""

import itertools
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from contract.settings import Settings
from tests.contract.ledger.shelf import Shelf
from tests.headrace.verify.archive import Archive, open_archive

_numbers = itertools.count()


@pytest.fixture
async def archive(settings: Settings, redis: Redis, milvus_lite_uri: str) -> AsyncIterator[Archive]:
    """Give a new collection on Milvus Lite."""
    ours = settings.model_copy(update={"milvus_uri": milvus_lite_uri})
    async with open_archive(ours, redis, f"drift{next(_numbers)}") as made:
        yield made


@pytest.fixture
def shelf(redis: Redis) -> Shelf:
    """Give an empty shelf."""
    return Shelf(redis)
