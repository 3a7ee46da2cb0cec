"""Batches in the ledger: written down, claimed, given back, taken away, struck off."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from contract.batch import Batch, decode
from contract.ledger.connection import connect
from contract.ledger.jobs import Job, Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import ClaimState, Finish, Totals
from contract.settings import Settings, load_settings
from tests.contract.ledger.shelf import promise
from tests.contract.ledger.worker_model import Worker
from tests.contract.ledger.world import SOURCE, World, parts_of
from tests.servers.redis import redis_server as run_redis_server

LEASE_SECONDS = 60.0


@pytest.fixture
def ledger(redis: Redis) -> Ledger:
    """Give an empty ledger."""
    return Ledger(redis, "books")


@pytest.fixture
async def job(redis: Redis) -> str:
    """Give a job."""
    return await Jobs(redis, "books").create(SOURCE)


@pytest.fixture
async def batch(ledger: Ledger, job: str) -> Batch:
    """Give a published batch of one document."""
    return await published(ledger, job)


async def published(ledger: Ledger, job: str, document: str = "d0") -> Batch:
    """Publish a document as one batch."""
    (registered,) = await ledger.promises.register(job, [promise(document, "good")])
    parts = tuple(parts_of(document, registered.version, "good"))
    batch = Batch(collection="books", job=job, parts=parts)
    await ledger.publish([batch])
    return batch


async def job_of(ledger: Ledger, batch: Batch) -> Job:
    """Look at the job of a batch."""
    found = await Jobs(ledger.redis, "books").get(batch.job)
    assert found is not None
    return found


async def dump(redis: Redis) -> dict[bytes, object]:
    """Give all that the server holds, as its own serialization."""
    return {key: await redis.dump(key) async for key in redis.scan_iter("*")}


async def test_publish_writes_the_batch_down(ledger: Ledger, batch: Batch) -> None:
    """A published batch waits, is counted, and can be read back."""
    claim = await ledger.claim(batch.id, "w1.", LEASE_SECONDS)
    assert claim.state is ClaimState.CLAIMED
    assert decode(claim.payload) == batch
    assert await ledger.totals() == Totals(1, 3, len(claim.payload))
    assert (await job_of(ledger, batch)).count("batches_published") == 1


async def test_publish_again_changes_nothing(ledger: Ledger, batch: Batch) -> None:
    """A producer that got no answer publishes again, at no cost."""
    before = await dump(ledger.redis)
    assert await ledger.publish([batch]) == [batch.id]
    assert await dump(ledger.redis) == before


async def test_publish_after_the_end_changes_nothing(ledger: Ledger, batch: Batch) -> None:
    """A batch that was struck off is not written down a second time."""
    await Worker(ledger, World(), batch.id, "w1.").run()
    before = await dump(ledger.redis)
    await ledger.publish([batch])
    assert await dump(ledger.redis) == before
    assert (await ledger.claim(batch.id, "w2.", LEASE_SECONDS)).state is ClaimState.GONE


async def test_publish_of_a_superseded_batch_changes_nothing(
    ledger: Ledger, job: str, batch: Batch
) -> None:
    """A slow producer's batch of an old version is not even stored."""
    (newer,) = await ledger.promises.register(job, [promise("d0", "better")])
    late = Batch(collection="books", job=job, parts=batch.parts[1:])
    before = await dump(ledger.redis)
    await ledger.publish([late])
    assert await dump(ledger.redis) == before
    assert newer.version > batch.parts[0].version


async def test_publish_nothing(ledger: Ledger) -> None:
    """No batches, no ids."""
    assert await ledger.publish([]) == []


async def test_claim_is_for_one(ledger: Ledger, batch: Batch) -> None:
    """A batch under a lease is nobody else's."""
    await ledger.claim(batch.id, "w1.", LEASE_SECONDS)
    assert (await ledger.claim(batch.id, "w2.", LEASE_SECONDS)).state is ClaimState.TAKEN


async def test_claim_again_by_the_same_owner(ledger: Ledger, batch: Batch) -> None:
    """A worker that got no answer claims again, and no crash is counted."""
    await ledger.claim(batch.id, "w1.", 0.0)
    claim = await ledger.claim(batch.id, "w1.", LEASE_SECONDS)
    assert (claim.state, claim.crashes) == (ClaimState.CLAIMED, 0)


async def test_claim_after_the_lease(ledger: Ledger, batch: Batch) -> None:
    """A lease that has run out is a crash of its owner, whose hold is gone."""
    await ledger.claim(batch.id, "w1.", 0.0)
    claim = await ledger.claim(batch.id, "w2.", LEASE_SECONDS)
    assert (claim.state, claim.crashes, claim.attempts) == (ClaimState.CLAIMED, 1, 0)
    assert not await ledger.renew(batch.id, "w1.", LEASE_SECONDS)
    assert not await ledger.release(batch.id, "w1.")
    assert (await ledger.claim(batch.id, "w3.", LEASE_SECONDS)).state is ClaimState.TAKEN


async def test_claim_of_nothing(ledger: Ledger) -> None:
    """A message of a finished batch is recognized."""
    assert (await ledger.claim("none", "w1.", LEASE_SECONDS)).state is ClaimState.GONE


async def test_renew_moves_the_end(ledger: Ledger, batch: Batch) -> None:
    """A renewed lease holds, for its owner alone."""
    await ledger.claim(batch.id, "w1.", 0.0)
    assert not await ledger.renew(batch.id, "w2.", LEASE_SECONDS)
    assert await ledger.renew(batch.id, "w1.", LEASE_SECONDS)
    assert (await ledger.claim(batch.id, "w2.", LEASE_SECONDS)).state is ClaimState.TAKEN
    assert not await ledger.renew("none", "w1.", LEASE_SECONDS)


async def test_release_gives_back_at_once(ledger: Ledger, batch: Batch) -> None:
    """A batch given back in good order waits as before, and nothing is counted."""
    await ledger.claim(batch.id, "w1.", LEASE_SECONDS)
    assert await ledger.release(batch.id, "w1.")
    claim = await ledger.claim(batch.id, "w2.", LEASE_SECONDS)
    assert (claim.state, claim.attempts, claim.crashes) == (ClaimState.CLAIMED, 0, 0)


async def test_release_after_a_failure(ledger: Ledger, batch: Batch) -> None:
    """A failed attempt is counted once, and the batch rests."""
    await ledger.claim(batch.id, "w1.", LEASE_SECONDS)
    assert await ledger.release(batch.id, "w1.", delay_seconds=60, failed=True)
    before = await dump(ledger.redis)
    assert not await ledger.release(batch.id, "w1.", delay_seconds=60, failed=True)
    assert await dump(ledger.redis) == before
    assert (await ledger.claim(batch.id, "w2.", LEASE_SECONDS)).state is ClaimState.EARLY
    assert await ledger.redis.hget(ledger.keys.batch(batch.id), "attempts") == b"1"
    assert (await ledger.sweep(grace_seconds=0)).due == 0


async def test_finish_counts_once(ledger: Ledger, batch: Batch) -> None:
    """The second of two workers finds the batch gone, and counts nothing."""
    worker = Worker(ledger, World(), batch.id, "w1.", lease_seconds=0.0)
    copy = Worker(ledger, World(), batch.id, "w2.")
    for _ in range(6):  # claim, look, and for both parts: arm, write
        assert await worker.step()
    for _ in range(6):
        assert await copy.step()
    await worker.run()
    before = await dump(ledger.redis)
    await copy.run()
    assert await dump(ledger.redis) == before
    job = await job_of(ledger, batch)
    assert job.count("batches_finished") == job.count("documents_committed") == 1
    assert job.count("chunks_written") == 3
    assert await ledger.totals() == Totals()


async def test_finish_does_not_bring_a_forgotten_job_back(ledger: Ledger, batch: Batch) -> None:
    """Counters of a job that is forgotten are dropped, not kept for ever."""
    await ledger.redis.delete(ledger.keys.job(batch.job))
    await Worker(ledger, World(), batch.id, "w1.").run()
    assert not await ledger.redis.exists(ledger.keys.job(batch.job))
    await published(ledger, batch.job, "d1")
    await ledger.redis.delete(ledger.keys.job(batch.job))
    await ledger.promises.register("other", [promise("d1", "better")])
    assert not await ledger.redis.exists(ledger.keys.job(batch.job))


async def test_finish_leaves_no_batch_behind(ledger: Ledger, batch: Batch) -> None:
    """Of a finished batch no key is left."""
    assert await ledger.finish("none", batch.job, Finish((), (), 0, 0)) is False
    await Worker(ledger, World(), batch.id, "w1.").run()
    keys = ledger.keys
    assert not await ledger.redis.exists(keys.batch(batch.id), keys.waiting, keys.leased)


async def test_sweep_takes_from_the_silent(ledger: Ledger, batch: Batch) -> None:
    """A lease that ran out is taken away once, and counted as a crash."""
    await ledger.claim(batch.id, "w1.", 0.0)
    swept = await ledger.sweep()
    assert (swept.taken_away, swept.due, swept.oldest) == (1, 1, (batch.id,))
    assert (await ledger.sweep()).taken_away == 0
    assert not await ledger.renew(batch.id, "w1.", LEASE_SECONDS)
    assert (await ledger.claim(batch.id, "w2.", LEASE_SECONDS)).crashes == 1


async def test_sweep_of_an_owner_known_to_be_dead(ledger: Ledger, job: str, batch: Batch) -> None:
    """Only the dead one's batches are taken away, however long its lease."""
    other = await published(ledger, job, "d1")
    await ledger.claim(batch.id, "host-1.7", LEASE_SECONDS)
    await ledger.claim(other.id, "host-11.7", LEASE_SECONDS)
    assert (await ledger.sweep(silent_owner="host-1.")).oldest == (batch.id,)


async def test_sweep_spares_what_has_just_come(ledger: Ledger, batch: Batch) -> None:
    """A batch whose message may be on its way is due, but not announced again."""
    swept = await ledger.sweep(grace_seconds=60)
    assert (swept.due, swept.oldest) == (1, ())
    assert (await ledger.sweep(grace_seconds=0)).oldest == (batch.id,)


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Redis]:
    """Give a client of a server whose memory can be filled."""
    with run_redis_server(tmp_path) as server:
        settings: Settings = load_settings({}, tmp_path, redis_url=server.url)
        client = connect(settings)
        yield client
        await client.aclose()


async def test_a_full_redis_can_be_emptied(small: Redis) -> None:
    """Where Redis has no memory left, producers are refused and workers go on."""
    ledger = Ledger(small, "books")
    job = await Jobs(small, "books").create(SOURCE)
    batch = await published(ledger, job)
    await small.config_set("maxmemory", 1)
    with pytest.raises(OutOfMemoryError):
        await published(ledger, job, "d1")
    worker = Worker(ledger, World(), batch.id, "w1.")
    assert await worker.step()
    assert await ledger.renew(batch.id, "w1.", 0.0)
    assert (await ledger.sweep()).taken_away == 1
    await Worker(ledger, World(), batch.id, "w2.").run()
    assert await ledger.totals() == Totals()


async def test_totals_of_nothing(ledger: Ledger) -> None:
    """An empty ledger has nothing to do."""
    assert await ledger.totals() == Totals(0, 0, 0)
