"""Promises of the cache that is never in the way."""

import asyncio
import logging
from collections.abc import Mapping, Sequence

import pytest

from contract.errors import TransientError, UsageError
from worker.embedding.forgiving_cache import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    ForgivingCache,
)

KEYS = [b"a", b"b"]
NONE = [None, None]


class Patient:
    """A cache with anything the matter, and a clock."""

    def __init__(self) -> None:
        """Be well."""
        self.read_error: Exception | None = None
        self.write_error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.reads = self.writes = 0
        self.seconds = 100.0
        self.held: dict[bytes, bytes] = {}

    async def check(self) -> None:
        """Be looked at."""
        if self.read_error is not None:
            raise self.read_error

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """Read, or fail."""
        self.reads += 1
        await self.gate.wait()
        if self.read_error is not None:
            raise self.read_error
        return [self.held.get(key) for key in keys]

    async def write(self, values: Mapping[bytes, bytes]) -> None:
        """Write, or fail."""
        self.writes += 1
        if self.write_error is not None:
            raise self.write_error
        self.held |= values

    async def aclose(self) -> None:
        """Hold nothing."""


@pytest.fixture
def patient() -> Patient:
    """Give one who is well."""
    return Patient()


@pytest.fixture
def cache(patient: Patient) -> ForgivingCache:
    """Stand before it."""
    return ForgivingCache(patient, lambda: patient.seconds)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Name what was told."""
    return [record.__dict__["event"] for record in caplog.records]


@pytest.mark.parametrize("error", [TransientError("away"), UsageError("moved"), KeyError("bug")])
async def test_trouble_is_a_miss_and_told_once(
    cache: ForgivingCache, patient: Patient, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """Nothing is raised; one line tells of it, and one that it is over."""
    caplog.set_level(logging.INFO)
    patient.read_error = error
    for _ in range(3):
        assert await cache.read(KEYS) == NONE
        patient.seconds += LONGEST_PAUSE_SECONDS
    assert patient.reads == 3
    assert told(caplog) == ["embedding_cache_away"]
    patient.read_error = None
    patient.held[b"a"] = b"1"
    assert await cache.read(KEYS) == [b"1", None]
    assert await cache.read(KEYS) == [b"1", None]
    assert told(caplog) == ["embedding_cache_away", "embedding_cache_back"]


async def test_a_dead_cache_is_asked_seldom(cache: ForgivingCache, patient: Patient) -> None:
    """After each failure it rests, twice as long each time, for reading and writing alike."""
    patient.read_error = TransientError("away")
    pause = FIRST_PAUSE_SECONDS
    for asked in range(1, 10):
        await cache.read(KEYS)
        await cache.read(KEYS)
        await cache.write({b"a": b"1"})
        assert (patient.reads, patient.writes) == (asked, 0)
        patient.seconds += pause - 0.1
        await cache.read(KEYS)
        assert patient.reads == asked
        patient.seconds += 0.1
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
    assert pause == LONGEST_PAUSE_SECONDS


async def test_after_a_success_the_pauses_begin_anew(
    cache: ForgivingCache, patient: Patient
) -> None:
    """An outage long ago makes the next one no longer."""
    patient.read_error = TransientError("away")
    for _ in range(4):
        await cache.read(KEYS)
        patient.seconds += LONGEST_PAUSE_SECONDS
    patient.read_error = None
    await cache.read(KEYS)
    patient.read_error = TransientError("away")
    await cache.read(KEYS)
    patient.read_error = None
    patient.seconds += FIRST_PAUSE_SECONDS
    await cache.read(KEYS)
    assert patient.reads == 7


async def test_calls_that_fail_together_count_as_one(
    cache: ForgivingCache, patient: Patient
) -> None:
    """Eight batches that find it away at once do not make the pause eight times as long."""
    patient.read_error = TransientError("away")
    patient.gate.clear()
    calls = [asyncio.create_task(cache.read(KEYS)) for _ in range(8)]
    while patient.reads < 8:  # noqa: ASYNC110 - they have all begun then
        await asyncio.sleep(0)
    patient.gate.set()
    await asyncio.gather(*calls)
    patient.read_error = None
    patient.seconds += FIRST_PAUSE_SECONDS
    await cache.read(KEYS)
    assert patient.reads == 9


async def test_one_that_hangs_is_given_up(
    patient: Patient, caplog: pytest.LogCaptureFixture
) -> None:
    """A call has an end of its own."""
    patient.gate.clear()
    cache = ForgivingCache(patient, lambda: patient.seconds, call_seconds=0.01)
    assert await cache.read(KEYS) == NONE
    assert "no answer within 0.01 s" in caplog.records[0].__dict__["error"]


async def test_a_full_one_still_reads(
    cache: ForgivingCache, patient: Patient, caplog: pytest.LogCaptureFixture
) -> None:
    """Where only writing fails, reading goes on, and does not tell that all is well."""
    patient.held[b"a"] = b"1"
    patient.write_error = TransientError("full")
    for _ in range(3):
        await cache.write({b"b": b"2"})
        assert await cache.read(KEYS) == [b"1", None]
    assert (patient.writes, patient.reads) == (1, 3)
    assert told(caplog) == ["embedding_cache_away"]
    patient.write_error = None
    patient.seconds += FIRST_PAUSE_SECONDS
    await cache.write({b"b": b"2"})
    assert await cache.read(KEYS) == [b"1", b"2"]
    assert told(caplog) == ["embedding_cache_away", "embedding_cache_back"]


async def test_at_the_start_a_wrong_configuration_is_no_trouble_to_be_waited_out(
    cache: ForgivingCache, patient: Patient, caplog: pytest.LogCaptureFixture
) -> None:
    """It is raised; a server that is away is only told of."""
    patient.read_error = UsageError("set maxmemory")
    with pytest.raises(UsageError, match="set maxmemory"):
        await cache.check()
    assert told(caplog) == []
    patient.read_error = TransientError("away")
    await cache.check()
    assert told(caplog) == ["embedding_cache_away"]
