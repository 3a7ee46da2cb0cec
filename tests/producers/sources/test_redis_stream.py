"""A Redis Stream: shared by consumers, claimed from the dead, acknowledged and never before."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import pytest
from redis.asyncio import Redis

from contract.errors import UsageError
from contract.settings import Settings
from producers.document import Omission
from producers.sources.record import Record
from producers.sources.redis_stream import RedisStream
from producers.sources.stream import Haul

KEY = "documents"
GROUP = "readers"


class Bed:
    """A stream and its consumers."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        """Begin with no stream."""
        self.redis = redis
        self.settings = settings.model_copy(
            update={"batch_max_age_seconds": 0.05, "lease_seconds": 0.3}
        )

    def consumer(self, *, once: bool = True, lease_seconds: float = 0.3) -> RedisStream:
        """Make a consumer; by default one that ends when nothing is left."""
        settings = self.settings.model_copy(update={"lease_seconds": lease_seconds})
        return RedisStream("s", self.redis, settings, KEY, group=GROUP, dimension=3, once=once)

    async def add(self, **fields: Any) -> str:
        """Add an entry; gives its id."""
        given = {
            name: value if isinstance(value, bytes) else str(value)
            for name, value in fields.items()
        }
        return (await self.redis.xadd(KEY, given)).decode()  # type: ignore[arg-type,union-attr]

    async def pending(self) -> int:
        """Count what was read and not acknowledged."""
        return int((await self.redis.xpending(KEY, GROUP))["pending"])

    async def consumers(self) -> list[Mapping[str, Any]]:
        """Name who reads."""
        return list(await self.redis.xinfo_consumers(KEY, GROUP))


@pytest.fixture
def bed(redis: Redis, settings: Settings) -> Bed:
    """Give a Redis without a stream."""
    return Bed(redis, settings)


async def drained(consumer: RedisStream) -> list[Haul]:
    """Read and acknowledge all that is there."""
    hauls = []
    async with asyncio.timeout(20), aclosing(consumer.hauls()) as coming:
        async for haul in coming:
            hauls.append(haul)
            await consumer.acknowledge(haul)
    return hauls


def keys(hauls: list[Haul]) -> list[str]:
    """Name the documents."""
    return [
        item.read.entry.key
        for haul in hauls
        for item in haul.items
        if isinstance(item.read, Record)
    ]


async def test_entries_come_in_order_with_their_ids(bed: Bed) -> None:
    """Those that were there before anybody read as well."""
    first = await bed.add(id="a", text="one")
    second = await bed.add(document=json.dumps({"id": "b", "text": "two"}))
    hauls = await drained(bed.consumer())
    assert keys(hauls) == ["a", "b"]
    assert [item.position for haul in hauls for item in haul.items] == [first, second]
    assert await bed.pending() == 0
    assert await drained(bed.consumer()) == []
    assert await bed.consumers() == [], "who has nothing pending is forgotten at the end"


async def test_a_stream_that_is_not_there_is_waited_for(bed: Bed) -> None:
    """It is made, and made anew when somebody deletes it."""
    consumer = bed.consumer(once=False)
    async with asyncio.timeout(20), aclosing(consumer.hauls()) as coming:
        waiting = asyncio.ensure_future(anext(coming))
        while not await bed.redis.exists(KEY):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
        await bed.redis.delete(KEY)
        await bed.add(id="a", text="one")
        assert keys([await waiting]) == ["a"]


async def test_what_the_dead_have_read_is_claimed(bed: Bed) -> None:
    """After a while; what is alive keeps what it has, however long it takes."""
    for key in "abc":
        await bed.add(id=key, text=key)
    dead = bed.consumer(once=False)
    async with asyncio.timeout(20):
        hauls = dead.hauls()
        read = await anext(hauls)
        assert keys([read]) == ["a", "b", "c"]
        keeping = asyncio.create_task(drained(bed.consumer()))
        await asyncio.wait([keeping], timeout=3.0)  # ten times the lease
        assert not keeping.done(), "the owner lives"
        await hauls.aclose()
        assert sorted(keys(await keeping)) == ["a", "b", "c"]
    assert await bed.pending() == 0


async def test_several_share_a_stream(bed: Bed) -> None:
    """Each entry goes to one of them."""
    for number in range(3000):
        await bed.add(id=number, text="t")
    found = await asyncio.gather(*(drained(bed.consumer(lease_seconds=30)) for _ in range(3)))
    assert sorted(key for hauls in found for key in keys(hauls)) == sorted(map(str, range(3000)))
    assert await bed.pending() == 0


async def test_poison_is_told_by_its_entry(bed: Bed) -> None:
    """A letter needs a name that no document has; what has an id keeps it."""
    poison = await bed.add(nonsense="x")
    await bed.add(id="a", text="t", vector="[1]")
    (haul,) = await drained(bed.consumer())
    nameless, named = (item.read for item in haul.items)
    assert isinstance(nameless, Omission)
    assert isinstance(named, Omission)
    assert (nameless.key, nameless.key_bytes) == (f"entry {poison}", f"\0entry {poison}".encode())
    assert named.key_bytes == b"a"
    assert await bed.pending() == 0


async def test_an_entry_that_was_trimmed_is_told_of(bed: Bed) -> None:
    """It was read by a consumer that died, and is gone since."""
    entry = await bed.add(id="a", text="one")
    await bed.redis.xgroup_create(KEY, GROUP, id="0")
    await bed.redis.xreadgroup(GROUP, "dead", {KEY: ">"})
    await bed.redis.xdel(KEY, entry)
    (haul,) = await drained(bed.consumer())
    (item,) = haul.items
    assert isinstance(item.read, Omission)
    assert (item.read.reason, item.read.failed) == ("vanished", True)


async def test_a_silent_consumer_with_something_pending_is_not_forgotten(bed: Bed) -> None:
    """What it has read would be lost."""
    await bed.add(id="a", text="one")
    hauls = bed.consumer(once=False, lease_seconds=30).hauls()
    await anext(hauls)
    await hauls.aclose()
    assert await bed.pending() == 1
    assert len(await bed.consumers()) == 1


async def test_a_key_of_another_kind(bed: Bed) -> None:
    """It is said what is wrong."""
    await bed.redis.set(KEY, "x")
    with pytest.raises(UsageError, match="something else than a stream"):
        await drained(bed.consumer())


async def test_what_is_claimed_goes_before_what_is_newer(bed: Bed) -> None:
    """In one haul the order is that of the stream, for the last one of an id counts."""
    old = await bed.add(id="a", text="old")
    await bed.redis.xgroup_create(KEY, GROUP, id="0")
    await bed.redis.xreadgroup(GROUP, "dead", {KEY: ">"})
    new = await bed.add(id="a", text="new")
    bed.settings = bed.settings.model_copy(update={"batch_max_age_seconds": 3.0})
    consumer = bed.consumer(once=False, lease_seconds=0.6)
    consumer._claimed_at = consumer._now()  # at first it reads what is new
    async with asyncio.timeout(20), aclosing(consumer.hauls()) as coming:
        haul = await anext(coming)
    assert [item.position for item in haul.items] == [old, new]
