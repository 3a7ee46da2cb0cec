"""Promises of the look at a job's unfinished batches, with a real Redis."""

from redis.asyncio import Redis

from contract.ledger.unfinished import PAGE, Unfinished, unfinished_batches
from contract.names import Keys

KEYS = Keys("shelf")


async def put(redis: Redis, key: str, job: str, *batches: str) -> None:
    """Note batches of a job as waiting or leased."""
    pipe = redis.pipeline(transaction=False)
    for at, batch in enumerate(batches):
        pipe.zadd(key, {batch: at})
        pipe.hset(KEYS.batch(batch), "job", job)
    await pipe.execute()


async def test_only_those_of_the_job_are_named(redis: Redis) -> None:
    """Waiting and leased apart, of one job among others; a struck off one is of no job."""
    await put(redis, KEYS.waiting, "one", "a", "b")
    await put(redis, KEYS.waiting, "two", "c")
    await put(redis, KEYS.leased, "one", "d")
    await redis.zadd(KEYS.leased, {"struck off": 1})
    found = await unfinished_batches(redis, "shelf", "one")
    assert found == Unfinished(("a", "b"), ("d",))
    assert await unfinished_batches(redis, "shelf", "three") == Unfinished((), ())


async def test_there_may_be_more_than_a_page(redis: Redis) -> None:
    """All are found, however many there are."""
    many = tuple(f"{number:05}" for number in range(2 * PAGE + 1))
    await put(redis, KEYS.waiting, "one", *many)
    assert (await unfinished_batches(redis, "shelf", "one")).waiting == many
