"""The ledger in itself: what is wrong is told, and whether anybody is at work."""

from redis.asyncio import Redis

from contract.ledger.control import Halt, JobControl
from contract.ledger.jobs import Jobs
from contract.names import Keys
from headrace.verify.bookkeeping import check_books
from headrace.verify.differences import Findings, Kind


async def test_an_empty_ledger_is_at_rest(redis: Redis) -> None:
    """Nothing is wrong, and nobody at work."""
    findings = Findings()
    assert await check_books(redis, "books", findings, mend=False)
    assert findings.equal


async def test_whoever_lists_is_at_work(redis: Redis) -> None:
    """Until the job is sealed; a paused one may go on at any time."""
    jobs = Jobs(redis, "books")
    job = await jobs.create("s")
    assert not await check_books(redis, "books", Findings(), mend=False)
    await JobControl(redis, "books").halt(job, Halt.PAUSED)
    assert not await check_books(redis, "books", Findings(), mend=False)
    await JobControl(redis, "books").halt(job, Halt.NONE)
    await jobs.seal(job, {})
    assert await check_books(redis, "books", Findings(), mend=False)


async def test_what_is_wrong_is_told_and_mended(redis: Redis) -> None:
    """Totals and open documents, each as one difference."""
    keys = Keys("books")
    job = await Jobs(redis, "books").create("s")
    await redis.hset(keys.totals, "batches", 2)
    await redis.sadd(keys.open(job), "unheard-of")
    findings = Findings()
    await check_books(redis, "books", findings, mend=False)
    assert findings.left == {Kind.LEDGER: 2}
    assert [item.subject for item in findings.named] == ["totals", f"job {job}"]
    mended = Findings()
    await check_books(redis, "books", mended, mend=True)
    assert mended.equal
    assert mended.subjects == {Kind.LEDGER: 2}
    again = Findings()
    await check_books(redis, "books", again, mend=False)
    assert not again.subjects
