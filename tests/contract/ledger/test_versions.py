"""Documents in the ledger: promised, pending, committed, deleted."""

import time

from contract.batch import Batch
from contract.ledger.records import Gone, Outcome, PartMark, Registered, Standing, Verdict
from tests.contract.ledger.shelf import Shelf
from tests.contract.ledger.world import GONE, SOURCE, parts_of


async def test_a_new_document(shelf: Shelf) -> None:
    """A document in several batches is committed by the last of its parts."""
    first, batches = await shelf.promise("good")
    assert first.outcome is Outcome.NEW
    await shelf.ingest(batches[0])
    assert await shelf.outcome(first) == (0, 0, 0)
    await shelf.ingest(batches[1])
    assert await shelf.outcome(first) == (1, 0, 0)
    assert shelf.holds((first, "good"))


async def test_register_again_gives_the_same_version(shelf: Shelf) -> None:
    """A producer that got no answer asks again, and nothing is counted twice."""
    first = await shelf.register("good")
    again = await shelf.register("good", first.job)
    assert again == first
    assert (await shelf.job(first)).count("documents_new") == 1
    assert (await shelf.job(first)).count("chunks") == 3


async def test_pending_then_unchanged(shelf: Shelf) -> None:
    """A content that is promised and published is nobody else's work, done or not."""
    first, batches = await shelf.promise("good")
    second = await shelf.register("good")
    assert second == Registered(Outcome.PENDING, first.version, first.job)
    await shelf.ingest(*batches)
    third = await shelf.register("good")
    assert third == Registered(Outcome.UNCHANGED, first.version, first.job)
    assert await shelf.ledger.promises.lookup([("d0", "good"), ("d0", "better")]) == [third, None]


async def test_one_job_never_cuts_a_version_twice(shelf: Shelf) -> None:
    """Once a part is published, the same job gets a new version: its parts may be others."""
    first = await shelf.register("good")
    part = parts_of("d0", first.version, "good")[0]
    await shelf.ledger.publish([Batch(collection="books", job=first.job, parts=(part,))])
    again = await shelf.register("good", first.job)
    assert again.version > first.version


async def test_two_jobs_promise_the_same_at_once(shelf: Shelf) -> None:
    """Both register before either publishes: one of them does the work."""
    first = await shelf.register("good")
    second = await shelf.register("good")
    batches = await shelf.publish(second, "good") + await shelf.publish(first, "good")
    await shelf.ingest(*batches)
    assert shelf.holds((second, "good"))
    assert await shelf.outcome(first) == (0, 1, 0)
    assert (await shelf.job(first)).drained


async def test_there_and_back_before_the_first_commit(shelf: Shelf) -> None:
    """A, B, A again: three versions, of which the last stays."""
    one, old = await shelf.promise("good")
    two, older = await shelf.promise("better")
    three, new = await shelf.promise("good")
    assert one.version < two.version < three.version
    await shelf.ingest(*old, *new, *older)
    assert shelf.holds((three, "good"))


async def test_old_versions_are_all_remembered(shelf: Shelf) -> None:
    """Rows of every version that was superseded half-way are deleted by the commit."""
    for content in ("good", "better", "good"):
        _, batches = await shelf.promise(content)
        await shelf.ingest(batches[0])
    last = await shelf.commit("better")
    assert shelf.holds((last, "better"))
    assert await shelf.ledger.redis.hget(shelf.ledger.keys.document("d0"), "older") == b""


async def test_deleted(shelf: Shelf) -> None:
    """A version without chunks takes all rows, and the document out of its source's index."""
    await shelf.commit("good")
    second = await shelf.commit(GONE)
    assert second.outcome is Outcome.DELETED
    assert shelf.holds()
    redis, keys = shelf.ledger.redis, shelf.ledger.keys
    assert await redis.zcard(keys.source(SOURCE)) == 0
    assert 0 < await redis.ttl(keys.document("d0")) <= 7 * 24 * 3600
    assert (await shelf.register(GONE)).outcome is Outcome.UNCHANGED
    assert await redis.zcard(keys.source(SOURCE)) == 0


async def test_deleted_and_back(shelf: Shelf) -> None:
    """A document that comes back is kept for good again, by a higher version."""
    deleted = await shelf.commit(GONE)
    back = await shelf.commit("good")
    assert back.version > deleted.version
    assert await shelf.ledger.redis.ttl(shelf.ledger.keys.document("d0")) == -1
    assert shelf.holds((back, "good"))


async def test_settle_again_changes_nothing(shelf: Shelf) -> None:
    """A worker that got no answer settles again, and hears the same."""
    registered, batches = await shelf.promise("good")
    marks = [
        PartMark("d0", registered.version, p.first, p.units)
        for p in parts_of("d0", registered.version, "good")
    ]
    assert [s.verdict for s in await shelf.ledger.settle(marks[:1])] == [Verdict.OPEN]
    assert [s.verdict for s in await shelf.ledger.settle(marks[:1])] == [Verdict.OPEN]
    assert [s.verdict for s in await shelf.ledger.settle(marks[1:])] == [Verdict.COMMIT]
    assert [s.verdict for s in await shelf.ledger.settle(marks)] == [Verdict.COMMIT] * 2
    await shelf.ingest(*batches)
    assert [s.verdict for s in await shelf.ledger.settle(marks)] == [Verdict.SETTLED] * 2
    assert await shelf.outcome(registered) == (1, 0, 0)


async def test_settle_of_the_unknown(shelf: Shelf) -> None:
    """Rows of a document that the ledger does not know are not wanted."""
    settled = await shelf.ledger.settle([PartMark("none", 1, 0, 1)])
    assert [item.verdict for item in settled] == [Verdict.SUPERSEDED]
    assert await shelf.ledger.standing(["none"]) == [Standing(0, 0, 0, 0)]


async def test_what_is_listed_is_seen_by_the_newest_listing(shelf: Shelf) -> None:
    """A listed document is not gone for anyone, even if its new content can't be registered."""
    promises = shelf.ledger.promises
    await shelf.commit("good")
    first = await promises.begin_listing(SOURCE, "/shelf")
    assert await promises.count_unseen(SOURCE, first) == 1
    second = await promises.begin_listing(SOURCE, "/shelf")
    await promises.mark_seen(SOURCE, ["d0", "unknown"])
    assert await promises.count_unseen(SOURCE, second) == 0
    assert await promises.count(SOURCE) == 1
    await promises.mark_seen(SOURCE, [])
    assert await promises.lookup([]) == []


async def test_what_a_listing_has_not_seen_can_be_deleted(shelf: Shelf) -> None:
    """A document that came back since the listing looked is not deleted by it."""
    promises = shelf.ledger.promises
    await shelf.commit("good")
    listing = await promises.begin_listing(SOURCE, "/shelf")
    unseen = [gone async for page in promises.unseen(SOURCE, listing) for gone in page]
    assert unseen == [Gone("d0", b"d0")]
    await promises.mark_seen(SOURCE, ["d0"])
    refused = await shelf.register(GONE, unseen_since=listing)
    assert refused.outcome is Outcome.OUTDATED
    later = await promises.begin_listing(SOURCE, "/shelf")
    deleted = await shelf.register(GONE, unseen_since=later)
    assert deleted.outcome is Outcome.DELETED
    await shelf.ingest(*await shelf.publish(deleted, GONE))
    assert shelf.holds()
    assert [page async for page in promises.unseen(SOURCE, later)] == []


async def test_an_earlier_reading_does_not_replace_a_later_one(shelf: Shelf) -> None:
    """Of two producers at once, the one that began to read later is believed."""
    early = await shelf.ledger.promises.begin_reading(SOURCE)
    late = await shelf.ledger.promises.begin_reading(SOURCE)
    newest = await shelf.register("better", reading=late)
    assert (await shelf.register("good", reading=early)).outcome is Outcome.OUTDATED
    await shelf.ingest(*await shelf.publish(newest, "better"))
    assert shelf.holds((newest, "better"))


async def test_a_moved_document_has_a_twin(shelf: Shelf) -> None:
    """A new document of a committed content is told where its vectors are."""
    await shelf.commit("good")
    moved = await shelf.register("good", document="d1")
    assert (moved.outcome, moved.twin) == (Outcome.NEW, "d0")
    await shelf.commit("better")
    assert (await shelf.register("good", document="d2")).twin == ""


async def test_listings_are_numbered(shelf: Shelf) -> None:
    """By their time, and each higher than the last; the source remembers where it was read."""
    assert await shelf.ledger.promises.origin(SOURCE) is None
    begun = round(time.time() * 1000)
    first = await shelf.ledger.promises.begin_listing(SOURCE, "/old")
    second = await shelf.ledger.promises.begin_listing(SOURCE, "/new")
    assert begun - 60_000 < first < second
    assert await shelf.ledger.promises.origin(SOURCE) == "/new"


async def test_versions_survive_a_clock_that_is_set_back(shelf: Shelf) -> None:
    """The next version is higher than the last, whatever the time is."""
    first = await shelf.commit("good")
    ahead = first.version + 10_000_000
    key = shelf.ledger.keys.document("d0")
    await shelf.ledger.redis.hset(key, mapping={"wanted": ahead, "committed": ahead})
    assert (await shelf.register("better")).version == ahead + 1
