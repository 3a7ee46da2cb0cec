"""Promises about two places of one name, with a real ledger."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from contract.errors import UsageError
from contract.ledger.promises import Promises
from headrace.namesakes import refuse_namesakes, refuse_takeover
from producers.sources.files import open_source
from tests.producers.brook import Brook


async def test_another_place_of_the_same_name_is_refused(tmp_path: Path, redis: Redis) -> None:
    """The first place may come again; a second one is told what to type."""
    promises = Promises(redis, "books")
    for where in ("one", "two"):
        (tmp_path / where / "docs").mkdir(parents=True)
    one, two = (open_source(str(tmp_path / where / "docs")) for where in ("one", "two"))
    await refuse_namesakes(promises, [one, two])
    await promises.begin_listing(one.name, one.origin)
    await refuse_namesakes(promises, [one])
    with pytest.raises(UsageError, match=f"{one.origin}, not {two.origin}; type --source"):
        await refuse_namesakes(promises, [one, two])


async def test_a_stream_takes_over_no_folder(redis: Redis) -> None:
    """Not even by its name; a named stream may move, one that nobody named asks first."""
    promises = Promises(redis, "documents")
    stream = Brook("docs", "Redis stream a")
    await refuse_takeover(promises, stream, named=False)
    await promises.begin_listing("docs", "Redis stream a")
    await refuse_takeover(promises, stream, named=False)
    moved = Brook("docs", "Redis stream b")
    with pytest.raises(UsageError, match="was brought in from Redis stream a"):
        await refuse_takeover(promises, moved, named=False)
    await refuse_takeover(promises, moved, named=True)
    await promises.begin_listing("docs", "/srv/docs")
    with pytest.raises(UsageError, match="--source NAME"):
        await refuse_takeover(promises, stream, named=True)
