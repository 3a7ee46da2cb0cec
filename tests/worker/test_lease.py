"""A lease, judged by the worker's own clock."""

import asyncio
import time
from pathlib import Path

import pytest
from redis.asyncio import Redis

from contract.batch import Batch, Chunk, Part
from contract.errors import LeaseLostError
from contract.ledger.connection import connect
from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import ClaimState, Promise
from contract.settings import Settings
from tests.servers.redis import redis_server
from worker.lease import SAFETY, Lease


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        """Begin somewhere."""
        self.seconds = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.seconds


async def published(redis: Redis) -> tuple[Ledger, str]:
    """Publish a batch; gives its ledger and its id."""
    ledger = Ledger(redis, "shelf")
    job = await Jobs(redis, "shelf").create("books")
    promise = Promise(
        document_id="d" * 32, source="books", key_bytes=b"key", content_hash="hash", chunk_count=1
    )
    (registered,) = await ledger.promises.register(job, [promise])
    part = Part(
        document_id="d" * 32,
        source="books",
        version=registered.version,
        content_hash="hash",
        chunk_count=1,
        first=0,
        chunks=(Chunk(key="k", text="grain"),),
    )
    (batch_id,) = await ledger.publish([Batch(collection="shelf", job=job, parts=(part,))])
    return ledger, batch_id


async def test_a_lease_counts_from_before_the_claim(redis: Redis) -> None:
    """It ends by our clock while a part of it is left for the write's own way."""
    ledger, batch_id = await published(redis)
    clock = Clock()
    lease = Lease(ledger, batch_id, "me", 30.0, clock(), clock)
    clock.seconds += 30.0 * SAFETY - 0.001
    lease.check()
    clock.seconds += 0.001
    with pytest.raises(LeaseLostError, match=batch_id):
        lease.check()


async def test_a_kept_lease_goes_on(redis: Redis) -> None:
    """While the block runs, the lease is renewed here and in the ledger."""
    ledger, batch_id = await published(redis)
    await ledger.claim(batch_id, "me", 0.3)
    begun = time.monotonic()
    lease = Lease(ledger, batch_id, "me", 0.3, begun)
    async with lease.kept():
        while time.monotonic() < begun + 0.7:
            lease.check()
            await asyncio.sleep(0.02)
        assert (await ledger.claim(batch_id, "other", 0.3)).state is ClaimState.TAKEN


async def lose(ledger: Ledger, batch_id: str) -> None:
    """Let another worker have a batch."""
    await ledger.sweep(silent_owner="me")
    assert (await ledger.claim(batch_id, "other", 60.0)).state is ClaimState.CLAIMED


async def test_a_lease_that_someone_else_got_is_lost(redis: Redis) -> None:
    """The next renewal tells: the work is cut short, and nothing may be written."""
    ledger, batch_id = await published(redis)
    await ledger.claim(batch_id, "me", 60.0)
    lease = Lease(ledger, batch_id, "me", 0.1, time.monotonic(), lambda: 0.0)

    async def work() -> None:
        async with asyncio.timeout(5), lease.kept():
            lease.check()
            await lose(ledger, batch_id)
            await asyncio.Event().wait()

    begun = time.monotonic()
    with pytest.raises(LeaseLostError):
        await work()
    assert time.monotonic() - begun < 4
    with pytest.raises(LeaseLostError):
        lease.check()
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_a_cancellation_from_outside_stays_one(redis: Redis) -> None:
    """Who is cancelled while the lease is fine is cancelled."""
    ledger, batch_id = await published(redis)
    await ledger.claim(batch_id, "me", 60.0)
    entered = asyncio.Event()

    async def work() -> None:
        async with Lease(ledger, batch_id, "me", 60.0, time.monotonic()).kept():
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_lease_that_was_let_go_cuts_nothing_short(redis: Redis) -> None:
    """The batch leaves the ledger in its last step, which is not to be taken for a loss."""
    ledger, batch_id = await published(redis)
    await ledger.claim(batch_id, "me", 60.0)
    lease = Lease(ledger, batch_id, "me", 0.06, time.monotonic(), lambda: 0.0)
    async with lease.kept():
        lease.let_go()
        await lose(ledger, batch_id)
        await asyncio.sleep(0.15)  # several renewals
    lease.check()


async def test_nothing_is_renewed_after_the_block(redis: Redis) -> None:
    """A batch that was left is no longer kept from others."""
    ledger, batch_id = await published(redis)
    await ledger.claim(batch_id, "me", 0.15)
    async with Lease(ledger, batch_id, "me", 0.15, time.monotonic()).kept():
        pass
    deadline = time.monotonic() + 5
    while (await ledger.claim(batch_id, "other", 1.0)).state is ClaimState.TAKEN:
        assert time.monotonic() < deadline, "it is still renewed"
        await asyncio.sleep(0.02)


async def test_without_redis_the_clock_decides(settings: Settings, tmp_path: Path) -> None:
    """Renewals that fail do not end the work; the lease simply runs out."""
    clock = Clock()
    with redis_server(tmp_path) as server:
        changes = {"redis_url": server.url, "redis_timeout_seconds": 0.2}
        redis = connect(Settings.model_validate(settings.model_dump() | changes))
        ledger, batch_id = await published(redis)
        await ledger.claim(batch_id, "me", 30.0)
        lease = Lease(ledger, batch_id, "me", 0.06, clock(), clock)
        async with lease.kept():
            server.kill()
            await asyncio.sleep(0.2)
            lease.check()
            clock.seconds += 0.06
            with pytest.raises(LeaseLostError):
                lease.check()
        await redis.aclose()
