"""What the ledger's tests share."""

import pytest
from redis.asyncio import Redis

from tests.contract.ledger.shelf import Shelf


@pytest.fixture
def shelf(redis: Redis) -> Shelf:
    """Give an empty shelf."""
    return Shelf(redis)
