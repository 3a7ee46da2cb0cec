"""What the tests of vigils share."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from contract.settings import Settings
from tests.producers.vigil.tower import Tower


@pytest.fixture
def tower(tmp_path: Path, redis: Redis, settings: Settings) -> Tower:
    """Give an empty folder that can be watched; documents are cut into short chunks."""
    short = {"chunk_unit": "characters", "chunk_size": 40, "chunk_overlap": 0}
    return Tower(tmp_path / "docs", redis, settings.model_copy(update=short))
