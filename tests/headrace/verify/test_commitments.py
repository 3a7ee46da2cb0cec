"""From the ledger to Milvus: rows that are not there are found, and read again."""

from collections.abc import Iterable

import pytest

from contract.ledger.records import Outcome
from headrace.verify.differences import Kind
from headrace.verify.rebuild import rebuild
from headrace.verify.rows import Rows
from tests.headrace.verify.archive import SOURCE, Archive


async def test_missing_rows_are_counted_and_read_again(archive: Archive) -> None:
    """Their documents are no longer unchanged; the version that is there stays committed."""
    part = await archive.bring("a.md", 5)
    other = await archive.bring("b.md", 5)
    archive.lose(part, 0, 4)
    findings = await archive.check_commitments()
    (difference,) = findings.named
    assert (difference.kind, difference.key, difference.rows) == (Kind.MISSING, "a.md", 2)
    assert findings.documents == 2
    look_up = [(part.document_id, "1"), (other.document_id, "1")]
    assert all(await archive.ledger.promises.lookup(look_up)), "a look changes nothing"
    await archive.check_commitments(mend=True)
    lost, kept = await archive.ledger.promises.lookup(look_up)
    assert lost is None
    assert kept is not None
    (stands,) = await archive.ledger.standing([part.document_id])
    assert (stands.wanted, stands.committed) == (part.version, part.version)
    assert not (await archive.check_commitments()).equal
    again = await archive.bring("a.md", 5)
    assert again.version > part.version
    assert (await archive.check_commitments()).equal
    versions = await archive.redis.zrange(archive.ledger.keys.graves, 0, -1)
    assert f"{part.document_id} {part.version} 5".encode() in versions, "all its rows are to go"


async def test_what_is_to_be_read_again_stays_a_difference(archive: Archive) -> None:
    """Also when its rows are all there: whoever was to bring it again may have been killed."""
    part = await archive.bring("a.md", 2)
    states = await archive.rebuilding.states([part.document_id])
    assert await archive.rebuilding.invalidate(states) == [True]
    findings = await archive.check_commitments()
    assert findings.left == {Kind.AWAITING: 1}


async def test_a_state_that_has_changed_is_not_invalidated(archive: Archive) -> None:
    """Whoever looked before a newer version was promised changes nothing."""
    part = await archive.bring("a.md", 2)
    states = await archive.rebuilding.states([part.document_id])
    await archive.promise("a.md", 2, "new")
    assert await archive.rebuilding.invalidate(states) == [False]
    known = await archive.ledger.promises.register(archive.job, [])
    assert known == []
    (stands,) = await archive.ledger.standing([part.document_id])
    assert stands.wants(stands.wanted)


async def test_a_document_in_progress_is_no_difference(archive: Archive) -> None:
    """While somebody is at work; at rest nobody will ever bring it."""
    await archive.promise("a.md", 2)
    findings = await archive.check_commitments(at_rest=False)
    assert findings.equal
    assert findings.in_progress == 1
    findings = await archive.check_commitments(at_rest=True, mend=True)
    assert findings.left == {Kind.UNFINISHED: 1}
    again = await archive.bring("a.md", 2)
    assert again.version
    assert (await archive.check_commitments()).equal


async def test_a_deleted_document_has_no_rows_to_miss(archive: Archive) -> None:
    """Deleted documents are not looked for."""
    await archive.bring("a.md", 2)
    await archive.bring("a.md", 0, "gone")
    findings = await archive.check_commitments()
    assert findings.equal
    assert findings.documents == 0


async def test_without_a_collection_everything_is_missing(archive: Archive) -> None:
    """A collection that was dropped has no rows; that is an answer, no error."""
    await archive.bring("a.md", 2)
    archive.client.drop_collection(f"{archive.collection}_1")
    findings = await archive.check_commitments()
    assert findings.left == {Kind.MISSING: 1}
    assert (await archive.take_stock()).equal


async def test_a_rebuild_twice_is_a_rebuild_once(archive: Archive) -> None:
    """It can be repeated after a crash, and what came meanwhile stays."""
    parts = [await archive.bring(f"{number}.md", 3, f"c{number}") for number in range(4)]
    archive.lose(parts[3], 0)
    await archive.redis.flushall()
    async with Rows.open(archive.settings, archive.collection) as rows:
        done = await rebuild(rows, archive.rebuilding)
        assert (done.adopted, done.incomplete, done.foreign) == (3, 1, 0)
        again = await rebuild(rows, archive.rebuilding)
        assert (again.adopted, again.incomplete) == (0, 0)
    assert await archive.rebuilding.is_built()
    archive.job = ""
    promised = await archive.promise("0.md", 3, "c0")
    assert promised.version == parts[0].version
    known = await archive.ledger.promises.lookup([(p.document_id, p.content_hash) for p in parts])
    outcomes = [item.outcome if item else None for item in known]
    assert outcomes == [Outcome.UNCHANGED] * 3 + [None]
    assert await archive.ledger.promises.count_unseen(SOURCE, 1) == 3, "the next listing decides"


async def test_what_changes_between_two_looks_is_no_difference(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that go because a newer version is on its way are not missing."""
    part = await archive.bring("a.md", 2, "old")
    present = Rows.present

    async def replace_first(rows: Rows, ids: Iterable[str]) -> set[str]:
        await archive.promise("a.md", 2, "new")
        archive.lose(part, 0, 1)
        return await present(rows, ids)

    monkeypatch.setattr(Rows, "present", replace_first)
    findings = await archive.check_commitments(mend=True)
    assert findings.equal
    assert findings.in_progress == 1
    (state,) = await archive.rebuilding.states([part.document_id])
    assert state.is_valid
