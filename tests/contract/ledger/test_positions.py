"""Places in a stream that several read: the later one is believed, however it comes."""

import pytest
from redis.asyncio import Redis

from contract.ledger.ledger import Ledger
from contract.ledger.records import Outcome, Promise, Registered

SOURCE = "stream"


class Stream:
    """Registers one document."""

    def __init__(self, redis: Redis) -> None:
        """Begin with an empty ledger."""
        self.promises = Ledger(redis, "positions").promises

    async def register(self, content: str, position: str, reading: int = 0) -> Registered:
        """Promise a content."""
        (made,) = await self.promises.register(
            "job",
            [
                Promise(
                    document_id="d",
                    source=SOURCE,
                    key_bytes=b"d",
                    content_hash=content,
                    chunk_count=1,
                    reading=reading,
                    position=position,
                )
            ],
        )
        return made


@pytest.fixture
def stream(redis: Redis) -> Stream:
    """Give a document without versions."""
    return Stream(redis)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("1-0", "1-1"),
        ("1-9", "1-10"),
        ("9-0", "10-0"),
        ("1-5", "2-0"),
        ("18446744073709551614-0", "18446744073709551615-0"),
        ("1-18446744073709551614", "1-18446744073709551615"),
        ("1700000000000-4503599627370496", "1700000000000-4503599627370497"),
    ],
)
async def test_an_earlier_place_does_not_replace_a_later_one(
    stream: Stream, earlier: str, later: str
) -> None:
    """Compared as what they are: two numbers of 64 bits."""
    assert (await stream.register("A", later)).outcome is Outcome.NEW
    assert (await stream.register("B", earlier)).outcome is Outcome.OUTDATED
    assert (await stream.register("B", later)).outcome is not Outcome.OUTDATED


@pytest.mark.parametrize(("earlier", "later"), [("1-9", "1-10"), ("9-0", "10-0"), ("", "0-1")])
async def test_a_later_place_replaces_an_earlier_one(
    stream: Stream, earlier: str, later: str
) -> None:
    """Or a content that came without one."""
    await stream.register("A", earlier)
    assert (await stream.register("B", later)).outcome is not Outcome.OUTDATED


async def test_without_a_place_nothing_is_compared(stream: Stream) -> None:
    """One who reads alone says what is the newest."""
    await stream.register("A", "9-0")
    assert (await stream.register("B", "")).outcome is not Outcome.OUTDATED


async def test_a_later_place_is_believed_whoever_read_it_first(stream: Stream) -> None:
    """A slow consumer may have read the newer entry before another read the older one."""
    await stream.register("A", "1-0", reading=7)
    assert (await stream.register("B", "2-0", reading=6)).outcome is not Outcome.OUTDATED
    assert (await stream.register("A", "1-0", reading=8)).outcome is Outcome.OUTDATED
