"""How old a batch is, and for how long it could have been claimed, by the clock of Redis."""

import pytest
from redis.asyncio import Redis

from contract.batch import Batch, decode
from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from tests.contract.ledger.test_ledger import published
from tests.contract.ledger.worker_model import halves
from tests.contract.ledger.world import SOURCE

LEASE_SECONDS = 60.0
SLACK_MS = 5_000
"""A test may take so long."""


@pytest.fixture
def ledger(redis: Redis) -> Ledger:
    """Give an empty ledger."""
    return Ledger(redis, "books")


@pytest.fixture
async def batch(ledger: Ledger) -> Batch:
    """Give a published batch of one document."""
    return await published(ledger, await Jobs(ledger.redis, "books").create(SOURCE))


async def set_back(ledger: Ledger, batch_id: str, *, age_ms: int = 0, waited_ms: int = 0) -> None:
    """Let a batch have been published, and have begun to wait, so much earlier."""
    if age_ms:
        await ledger.redis.hincrby(ledger.keys.batch(batch_id), "published_ms", -age_ms)
    if waited_ms:
        await ledger.redis.zincrby(ledger.keys.waiting, -waited_ms, batch_id)


def near(found: int | None, ms: int) -> bool:
    """Tell whether a time is the expected one, but for what the test took."""
    return found is not None and ms <= found < ms + SLACK_MS


async def test_a_claim_tells_both(ledger: Ledger, batch: Batch) -> None:
    """Both begin with the publication."""
    await set_back(ledger, batch.id, age_ms=60_000, waited_ms=60_000)
    claim = await ledger.claim(batch.id, "one", LEASE_SECONDS)
    assert near(claim.age_ms, 60_000)
    assert near(claim.waited_ms, 60_000)


async def test_a_rest_is_no_wait(ledger: Ledger, batch: Batch) -> None:
    """What was given back waits from the end of its rest, and is as old as before."""
    await set_back(ledger, batch.id, age_ms=60_000, waited_ms=60_000)
    await ledger.claim(batch.id, "one", LEASE_SECONDS)
    await ledger.release(batch.id, "one", delay_seconds=30.0, failed=True)
    await set_back(ledger, batch.id, waited_ms=40_000)
    claim = await ledger.claim(batch.id, "two", LEASE_SECONDS)
    assert near(claim.age_ms, 60_000)
    assert near(claim.waited_ms, 10_000)


async def test_nobody_knows_how_long_the_batch_of_a_silent_owner_waited(
    ledger: Ledger, batch: Batch
) -> None:
    """It was in hand; its age goes on."""
    await set_back(ledger, batch.id, age_ms=60_000)
    await ledger.claim(batch.id, "one", LEASE_SECONDS)
    await ledger.sweep(silent_owner="one")
    claim = await ledger.claim(batch.id, "two", LEASE_SECONDS)
    assert near(claim.age_ms, 60_000)
    assert claim.waited_ms is None


async def test_a_claim_whose_answer_was_lost_tells_only_the_age(
    ledger: Ledger, batch: Batch
) -> None:
    """Asked again, the batch does not wait any more."""
    await ledger.claim(batch.id, "one", LEASE_SECONDS)
    claim = await ledger.claim(batch.id, "one", LEASE_SECONDS)
    assert near(claim.age_ms, 0)
    assert claim.waited_ms is None


@pytest.mark.parametrize("is_known", [True, False])
async def test_pieces_are_as_old_as_the_whole(
    ledger: Ledger, batch: Batch, *, is_known: bool
) -> None:
    """Also where an older release has published it, of which nobody knows when."""
    await set_back(ledger, batch.id, age_ms=60_000)
    if not is_known:
        await ledger.redis.hdel(ledger.keys.batch(batch.id), "published_ms")
    claim = await ledger.claim(batch.id, "one", LEASE_SECONDS)
    pieces = halves(decode(claim.payload))
    assert await ledger.split(batch.id, "one", batch, pieces)
    for piece in pieces:
        claim = await ledger.claim(piece.id, "two", LEASE_SECONDS)
        assert near(claim.age_ms, 60_000) if is_known else claim.age_ms is None
        assert claim.waited_ms is None


async def test_publishing_again_makes_nothing_younger(ledger: Ledger, batch: Batch) -> None:
    """The first publication counts."""
    await set_back(ledger, batch.id, age_ms=60_000)
    await ledger.publish([batch])
    assert near((await ledger.claim(batch.id, "one", LEASE_SECONDS)).age_ms, 60_000)
