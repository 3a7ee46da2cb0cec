"""Promises of imports while Redis has no memory or no disk left."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import psutil
import pytest
from redis.exceptions import RedisError

from benchmarks.rig.faults import disk_is_full, memory_is_full
from benchmarks.rig.patience import until
from benchmarks.rig.rig import Rig, running_rig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_FULL_SECONDS = 8.0
"""Longer than a lease."""

WHAT = [
    memory_is_full,
    pytest.param(
        disk_is_full,
        marks=pytest.mark.skipif(
            not hasattr(psutil, "RLIMIT_FSIZE"), reason="files can't be limited on this system"
        ),
    ),
]


@pytest.mark.parametrize("is_full", WHAT)
async def test_the_import_waits_and_goes_on_by_itself(
    tmp_path: Path, is_full: Callable[[Rig], AbstractAsyncContextManager[None]]
) -> None:
    """What Redis refused is written once it can be; nothing is lost or counted twice."""
    async with running_rig(tmp_path, "full", 25, say=print) as rig:
        importing = asyncio.create_task(rig.importer.once())
        await rig.tap.progress(60)
        async with is_full(rig):
            await until(lambda: _refuses(rig), "Redis to refuse", 10)
            await asyncio.sleep(_FULL_SECONDS)
            assert not importing.done(), "not all of it is published yet"
        assert await importing == 1, "the poison is a dead letter"
        assert all(not place.program.ends for place in rig.workers), "workers outlive it"
        await rig.rest(60)
        found = await rig.judge()
        assert found.good, found.differences


async def _refuses(rig: Rig) -> bool:
    """Tell whether Redis refuses to write; a full disk shows at the write after."""
    try:
        await rig.client.set("probe", "x" * 1_000)
    except RedisError:
        return True
    return False
