"""What the ledger's tests share."""

import pytest
from redis.asyncio import Redis

from tests.contract.ledger.shelf import Shelf

# What a test module has by itself: a failure shows the values that were compared.
pytest.register_assert_rewrite(
    "tests.contract.ledger.machine_judge", "tests.contract.ledger.machine_producers"
)


@pytest.fixture
def shelf(redis: Redis) -> Shelf:
    """Give an empty shelf."""
    return Shelf(redis)
