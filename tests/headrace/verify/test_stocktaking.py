"""From Milvus to the ledger: rows that do not belong there are found, and nothing else."""

from collections.abc import Iterable

import msgspec
import pytest

from contract.ids import document_id
from contract.ledger.records import Outcome
from headrace.verify.differences import Findings, Kind
from headrace.verify.rows import Rows
from headrace.verify.stocktaking import Mend
from tests.headrace.verify.archive import SOURCE, Archive, ids_of


def found(findings: Findings) -> dict[str, int]:
    """Count rows by kind."""
    return {kind.value: rows for kind, rows in findings.rows.items()}


async def test_what_agrees_agrees(archive: Archive) -> None:
    """Committed documents, also of more chunks than ten, are no difference."""
    parts = [await archive.bring(f"{number}.md", 1 + 11 * number) for number in range(3)]
    findings = await archive.take_stock()
    assert findings.equal
    assert findings.rows_read == len(ids_of(*parts)) == 36


async def test_rows_of_versions_that_are_over_are_deleted(archive: Archive) -> None:
    """Old, never committed and surplus rows are found, then deleted; the others stay."""
    old = await archive.bring("a.md", 3, "old")
    new = await archive.bring("a.md", 2, "new")
    await archive.redis.delete(archive.ledger.keys.graves)  # their quarantine is over
    never = msgspec.structs.replace(new, version=new.version + 1)
    archive.write(never, [0])
    archive.write(new, [5])
    findings = await archive.take_stock()
    assert found(findings) == {"stale": 4, "beyond": 1}
    assert findings.left == {Kind.STALE: 2, Kind.BEYOND: 1}
    assert archive.rows() > ids_of(old, new)
    mended = await archive.take_stock(Mend(rows=True))
    assert found(mended) == found(findings)
    assert mended.equal
    assert archive.rows() == ids_of(new)
    assert (await archive.take_stock()).equal


async def test_rows_in_quarantine_are_the_janitor_s(archive: Archive) -> None:
    """A superseded version whose rows are to be deleted once more is no difference."""
    await archive.bring("a.md", 3, "old")
    await archive.bring("a.md", 2, "new")
    findings = await archive.take_stock(Mend(rows=True))
    assert findings.equal
    assert findings.in_quarantine == 1
    assert len(archive.rows()) == 5


async def test_rows_of_a_document_in_progress_are_left_alone(archive: Archive) -> None:
    """Whatever is there of it, while a version is on its way nobody touches it."""
    await archive.bring("a.md", 3, "old")
    coming = await archive.promise("a.md", 4, "new")
    archive.write(coming, [0, 1])
    before = archive.rows()
    assert (await archive.take_stock(Mend(rows=True, unowned=True))).equal
    assert archive.rows() == before


async def test_a_lost_ledger_is_rebuilt(archive: Archive) -> None:
    """Whole documents are known again, so that their content counts as unchanged."""
    parts = [await archive.bring(key, 2, f"content of {key}") for key in ("a.md", "b/ü.md")]
    await archive.redis.flushall()
    assert found(await archive.take_stock()) == {"unknown": 4}
    assert (await archive.take_stock(Mend(rows=True))).equal
    assert (await archive.take_stock()).equal
    assert (await archive.check_commitments()).equal
    known = await archive.ledger.promises.lookup([(p.document_id, p.content_hash) for p in parts])
    assert [(k.outcome, k.version) for k in known if k] == [
        (Outcome.UNCHANGED, part.version) for part in parts
    ]
    states = await archive.rebuilding.states([part.document_id for part in parts])
    assert [state.key_bytes for state in states] == [b"a.md", "b/ü.md".encode()]
    assert await archive.ledger.promises.count(SOURCE) == 2


async def test_the_newest_whole_version_is_adopted(archive: Archive) -> None:
    """Not one that was half written, and not an older one; the rows of those are deleted."""
    old = await archive.bring("a.md", 2, "old")
    whole = await archive.bring("a.md", 12, "whole")
    half = msgspec.structs.replace(whole, version=whole.version + 1, content_hash="half")
    archive.write(half, [0, 1, 11])
    assert archive.rows() > ids_of(old)
    await archive.redis.flushall()
    assert (await archive.take_stock(Mend(rows=True))).equal
    assert archive.rows() == ids_of(whole)
    (state,) = await archive.rebuilding.states([whole.document_id])
    assert (state.committed, state.committed_count) == (whole.version, 12)


async def test_what_nobody_owns_goes_only_on_demand(archive: Archive) -> None:
    """Documents of which no version is whole, and ids of others, stay until someone says so."""
    part = await archive.bring("a.md", 3)
    archive.lose(part, 1)
    odd = msgspec.structs.replace(part, document_id="odd")
    archive.write(odd, [0])
    await archive.redis.flushall()
    findings = await archive.take_stock(Mend(rows=True))
    assert found(findings) == {"incomplete": 2, "foreign": 1}
    assert not findings.equal
    assert len(archive.rows()) == 3
    (state,) = await archive.rebuilding.states([part.document_id])
    assert state.awaits_reading
    assert state.key_bytes == b"a.md"
    assert (await archive.take_stock(Mend(rows=True, unowned=True))).equal
    assert archive.rows() == set()
    assert await archive.rebuilding.states([part.document_id]) == [
        type(state)(document_id=part.document_id)
    ]
    assert await archive.ledger.promises.count(SOURCE) == 0


async def test_what_was_not_whole_is_clean_after_its_next_version(archive: Archive) -> None:
    """Its next commit deletes rows that the ledger can't name, and only those."""
    part = await archive.bring("a.md", 3)
    archive.lose(part, 0)
    await archive.redis.flushall()
    archive.job = ""
    await archive.take_stock(Mend(rows=True))
    await archive.rebuilding.mark_built()
    again = await archive.promise("a.md", 3)
    await archive.ledger.promises.register(archive.job, [])
    (stands,) = await archive.ledger.standing([part.document_id])
    assert stands.wants(again.version)
    unknown = await archive.redis.hget(
        archive.ledger.keys.document(part.document_id), "unknown_older"
    )
    assert unknown == b"1"


async def test_what_the_ledger_knows_is_never_replaced(archive: Archive) -> None:
    """A document that comes back on its own before it is adopted stays as it is."""
    part = await archive.bring("a.md", 2, "old")
    await archive.redis.flushall()
    archive.job = ""
    newer = await archive.promise("a.md", 3, "new")
    await archive.take_stock(Mend(rows=True))
    (state,) = await archive.rebuilding.states([part.document_id])
    assert (state.wanted, state.committed) == (newer.version, 0)
    assert archive.rows() == ids_of(part)


async def test_a_name_of_any_bytes_is_known_again(archive: Archive) -> None:
    """Rows carry a path that people can read; the id proves the bytes behind it."""
    keys = [b"na\xefve.txt", b"back\\slash.txt", "naïve.txt".encode()]
    for key in keys:
        await archive.bring(key, 1)
    await archive.redis.flushall()
    await archive.take_stock(Mend(rows=True))
    states = await archive.rebuilding.states([document_id(SOURCE, key) for key in keys])
    assert [state.key_bytes for state in states] == keys


async def test_what_changes_between_two_looks_is_no_difference(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that is promised, and written, after the ledger was asked is left alone."""
    part = await archive.bring("a.md", 2, "old")
    coming = msgspec.structs.replace(part, version=part.version + 1)
    archive.write(coming)
    present = Rows.present

    async def promise_first(rows: Rows, ids: Iterable[str]) -> set[str]:
        await archive.promise("a.md", 2, "new")
        return await present(rows, ids)

    monkeypatch.setattr(Rows, "present", promise_first)
    assert (await archive.take_stock(Mend(rows=True))).equal
    assert archive.rows() == ids_of(part, coming)
