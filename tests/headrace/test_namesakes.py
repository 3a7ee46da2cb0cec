"""Promises about two places of one name, with a real ledger."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from contract.errors import UsageError
from contract.ledger.promises import Promises
from headrace.namesakes import refuse_namesakes
from producers.sources.files import open_source


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
