"""What the producers' tests share."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from contract.settings import Settings
from tests.producers.mill import Mill


@pytest.fixture
def mill(tmp_path: Path, redis: Redis, settings: Settings) -> Mill:
    """Give an empty folder with a ledger, where documents are cut into short chunks."""
    short = settings.model_copy(
        update={"chunk_unit": "characters", "chunk_size": 20, "chunk_overlap": 0}
    )
    return Mill(tmp_path / "docs", redis, short)
