"""Documents in the ledger when somebody is killed, or late, or finds a part dead."""

from contract.batch import Batch
from tests.contract.ledger.shelf import Shelf
from tests.contract.ledger.world import GONE, parts_of


async def test_killed_between_register_and_publish(shelf: Shelf) -> None:
    """The next job takes a promise over that nobody published, by a version of its own."""
    first = await shelf.register("good")
    assert await shelf.ledger.promises.lookup([("d0", "good")]) == [None]
    second, batches = await shelf.promise("good")
    assert second.version > first.version
    await shelf.ingest(*batches)
    assert await shelf.outcome(first) == (0, 1, 0)
    assert await shelf.outcome(second) == (1, 0, 0)
    assert shelf.holds((second, "good"))


async def test_killed_in_the_middle_of_publishing(shelf: Shelf) -> None:
    """What a killed producer had published in part is written anew, and deleted."""
    first = await shelf.register("good")
    part = parts_of("d0", first.version, "good")[0]
    half = Batch(collection="books", job=first.job, parts=(part,))
    await shelf.ledger.publish([half])
    await shelf.ingest(half)
    second = await shelf.commit("good")
    assert shelf.holds((second, "good"))


async def test_killed_after_the_write_of_a_superseded_version(shelf: Shelf) -> None:
    """Whoever gets the batch next deletes what the killed one had written."""
    first = await shelf.commit("good")
    _, batches = await shelf.promise("better")
    killed = shelf.worker(batches[0], 0.0)
    for _ in range(3):  # claim, look, arm
        assert await killed.step()
    third = await shelf.commit("good")
    assert await killed.step()
    assert not shelf.holds((third, "good"))
    await shelf.ingest(*batches)
    assert shelf.holds((third, "good"))
    assert third.version > first.version


async def test_a_superseded_batch_is_split(shelf: Shelf) -> None:
    """Its pieces leave the marks of the newer version alone, which has parts in the same places."""
    _, old = await shelf.promise("flaky")
    second, new = await shelf.promise("good")
    late = shelf.worker(old[0])
    late.splits = True
    await late.run()
    await shelf.ingest(*new)
    assert await shelf.outcome(second) == (1, 0, 0)
    assert shelf.holds((second, "good"))


async def test_superseded_between_settle_and_finish(shelf: Shelf) -> None:
    """A version whose rows are all written counts as committed when the next one comes."""
    first = await shelf.commit("good")
    second, batches = await shelf.promise(GONE)
    last = shelf.worker(batches[0])
    for _ in range(3):  # claim, look, settle
        assert await last.step()
    third, poisoned = await shelf.promise("poisoned")
    await last.run()
    await shelf.ingest(*poisoned)
    assert await shelf.outcome(second) == (1, 0, 0)
    assert await shelf.outcome(third) == (0, 0, 1)
    assert shelf.holds()
    assert first.version < second.version


async def test_killed_between_settle_and_delete_then_superseded(shelf: Shelf) -> None:
    """Rows that a killed commit left are deleted with the next version, even if it fails."""
    await shelf.commit("good")
    second, batches = await shelf.promise("better")
    await shelf.ingest(batches[0])
    killed = shelf.worker(batches[1], 0.0)
    for _ in range(5):  # claim, look, arm, write, settle
        assert await killed.step()
    _, poisoned = await shelf.promise("poisoned")
    await shelf.ingest(*poisoned, *batches)
    assert shelf.holds((second, "better"))


async def test_withdrawn(shelf: Shelf) -> None:
    """A version with a dead part goes whole; the one before it stays; the reason is kept."""
    first = await shelf.commit("good")
    second = await shelf.commit("poisoned")
    assert shelf.holds((first, "good"))
    assert await shelf.outcome(second) == (0, 0, 1)
    (dead,) = await shelf.letters()
    assert (dead.document_id, dead.version, dead.ordinals) == ("d0", second.version, (2,))
    assert await shelf.ledger.promises.lookup([("d0", "poisoned")]) == [None]


async def test_withdrawn_takes_half_written_versions_along(shelf: Shelf) -> None:
    """Rows of versions that were superseded half-way go, whatever becomes of the newest."""
    first = await shelf.commit("good")
    _, batches = await shelf.promise("better")
    await shelf.ingest(batches[0])
    await shelf.commit("poisoned")
    assert shelf.holds((first, "good"))
    assert await shelf.ledger.redis.hget(shelf.ledger.keys.document("d0"), "older") == b""


async def test_a_late_copy_leaves_the_committed_rows(shelf: Shelf) -> None:
    """A second worker at a batch of a committed version does not delete its rows."""
    first, batches = await shelf.promise("good")
    late = shelf.worker(batches[0], 0.0)
    for _ in range(4):  # claim, look, arm, write
        assert await late.step()
    await shelf.ingest(*batches)
    _, poisoned = await shelf.promise("poisoned")
    await late.run()
    await shelf.ingest(*poisoned)
    assert shelf.holds((first, "good"))


async def test_a_late_write_is_undone_while_its_successor_commits(shelf: Shelf) -> None:
    """Between a commit's delete and its finish, a late writer deletes its own rows."""
    _, batches = await shelf.promise("good")
    late = shelf.worker(batches[0], 0.0)
    for _ in range(3):  # claim, look, arm
        assert await late.step()
    await shelf.ingest(*batches)
    second, deleted = await shelf.promise(GONE)
    committer = shelf.worker(deleted[0])
    for _ in range(4):  # claim, look, settle, delete
        assert await committer.step()
    await late.run()
    await committer.run()
    assert shelf.holds()
    assert await shelf.outcome(second) == (1, 0, 0)


async def test_failed_then_superseded(shelf: Shelf) -> None:
    """A version that was found dead, but not to its end, counts as superseded, once."""
    first, batches = await shelf.promise("poisoned")
    await shelf.ingest(batches[1])
    second = await shelf.commit("good")
    await shelf.ingest(batches[0])
    assert await shelf.outcome(first) == (0, 1, 0)
    assert await shelf.outcome(second) == (1, 0, 0)
    assert await shelf.letters() == []


async def test_letters_of_a_superseded_version_are_not_kept(shelf: Shelf) -> None:
    """What was found dead in a version that nobody wants any more is no news."""
    _, batches = await shelf.promise("poisoned")
    late = shelf.worker(batches[1], 0.0)
    for _ in range(3):  # claim, look, settle
        assert await late.step()
    await shelf.commit("good")
    await late.run()
    assert await shelf.letters() == []


async def test_letters_of_a_late_worker_are_kept(shelf: Shelf) -> None:
    """A part that one worker found dead is dead for the next, who found it alive."""
    _, batches = await shelf.promise("flaky")
    await shelf.ingest(batches[0])
    late = shelf.worker(batches[1], 0.0)
    late.refused = ("flaky",)
    for _ in range(3):  # claim, look, settle
        assert await late.step()
    await shelf.ingest(batches[1])
    assert [letter.ordinals for letter in await shelf.letters()] == [(2,)]
    await late.run()
    assert len(await shelf.letters()) == 1
    assert shelf.holds()


async def test_a_commit_forgets_the_letters(shelf: Shelf) -> None:
    """A document that comes right has no dead letters and no fields of its parts."""
    await shelf.commit("poisoned")
    assert len(await shelf.letters()) == 1
    await shelf.commit("good")
    assert await shelf.letters() == []
    fields: list[bytes] = await shelf.redis.hkeys(shelf.ledger.keys.document("d0"))  # type: ignore[assignment]
    assert not [f for f in fields if f.startswith((b"part:", b"death:")) or f == b"letter"]
