"""Promises of the comparison of a sample, with real Redis and Milvus Lite."""

import random
from array import array
from collections.abc import AsyncIterator, Iterable

import pytest

from contract.ledger.rebuilding import State
from contract.names import Keys
from headrace.exporter.drift import EXTRA, MISSING, STALE, Drift, judge
from headrace.exporter.milvus_reader import MilvusReader, Row
from headrace.verify.grouping import Held
from tests.headrace.verify.archive import SOURCE, Archive

KNOWN = State(document_id="d", source="s", wanted=5, committed=5, committed_count=2)


@pytest.mark.parametrize(
    ("versions", "wrong"),
    [
        ({5: [0, 1]}, {}),
        ({5: [0]}, {MISSING: {5}}),
        ({}, {MISSING: {5}}),
        ({5: [0, 1, 2]}, {EXTRA: {5}}),
        ({4: [0], 5: [0, 1]}, {STALE: {4}}),
        ({3: [0], 4: [0]}, {MISSING: {5}, STALE: {3, 4}}),
        ({5: [0, 1], 6: [0]}, {EXTRA: {6}}),
    ],
)
def test_what_is_wrong_with_rows(
    versions: dict[int, list[int]], wrong: dict[str, set[int]]
) -> None:
    """Missing, of an older version, or such as no version should have."""
    held = Held("d", {version: array("q", some) for version, some in versions.items()})
    assert judge(KNOWN, held) == wrong


def test_rows_of_a_document_that_nobody_knows() -> None:
    """They are there, and should not be; one without rows is right."""
    assert judge(State(document_id="d"), Held("d", {5: array("q", [0])})) == {EXTRA: {5}}
    assert judge(State(document_id="d"), None) == {}


@pytest.fixture
async def reader(archive: Archive) -> AsyncIterator[MilvusReader]:
    """Give a reader."""
    reader = MilvusReader(archive.settings)
    yield reader
    await reader.aclose()


async def look(archive: Archive, reader: MilvusReader) -> tuple[int, dict[str, int]]:
    """Look once at so many documents that all are drawn."""
    drift = Drift(archive.redis, reader, random.Random(7))  # noqa: S311
    facts = await drift.look({(archive.collection, SOURCE): 1_000})
    return facts.last_checked, dict(facts.last_found)


async def test_what_is_right_is_no_drift(archive: Archive, reader: MilvusReader) -> None:
    """Nor is what is being worked at, or dead."""
    assert await look(archive, reader) == (0, {})
    for at in range(5):
        await archive.bring(f"{at}", at + 1)
    part = await archive.promise("0", 3, "2")
    archive.write(part, [0])
    assert await look(archive, reader) == (4, {})


async def test_each_kind_is_found_and_counted(archive: Archive, reader: MilvusReader) -> None:
    """The counters add up over looks; the share is that of the last."""
    parts = [await archive.bring(f"{at}", 3) for at in range(6)]
    archive.lose(parts[0], 1)
    stale = await archive.bring("1", 3, "2")
    assert stale.version > parts[1].version  # whose rows are there still
    await archive.redis.delete(Keys(archive.collection).graves)
    unknown = await archive.promise("not there", 2)
    archive.write(unknown)
    await archive.redis.delete(Keys(archive.collection).document(unknown.document_id))
    drift = Drift(archive.redis, reader, random.Random(7))  # noqa: S311
    wanted = {(archive.collection, SOURCE): 1_000}
    found, looks = {"x": 0}, 0
    while len(found) < 3:  # rows of Milvus are drawn from anywhere
        facts, looks = await drift.look(wanted), looks + 1
        found = {kind: n for kind, n in facts.last_found.items() if n}
    assert facts.last_found == {MISSING: 1, STALE: 1, EXTRA: 1}
    assert facts.last_checked == 7
    assert facts.found[MISSING] == looks == facts.found[STALE]
    assert facts.checked >= 6 * looks


async def test_what_is_to_be_deleted_once_more_is_no_drift(
    archive: Archive, reader: MilvusReader
) -> None:
    """A janitor will, at the end of the quarantine."""
    await archive.bring("a", 3)
    await archive.bring("a", 3, "2")
    assert await archive.redis.zcard(Keys(archive.collection).graves) == 1
    assert await look(archive, reader) == (1, {})


async def test_a_document_that_changes_during_the_look_does_not_count(
    archive: Archive, reader: MilvusReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its state is another one afterwards, or its rows are right by then."""
    part = await archive.bring("a", 3)
    other = await archive.bring("b", 3)
    archive.lose(part, 0)
    archive.lose(other, 0)
    plain = reader.rows_of

    async def slowly(collection: str, documents: Iterable[str]) -> list[Row]:
        rows = await plain(collection, documents)
        if not archive.vector[0]:
            return rows
        archive.vector[0] = 0.0
        await archive.bring("a", 3, "2")
        archive.write(other)
        return rows

    monkeypatch.setattr(reader, "rows_of", slowly)
    assert await look(archive, reader) == (2, {})


async def test_a_collection_that_is_not_there_is_passed_over(
    archive: Archive, reader: MilvusReader
) -> None:
    """Its ledger stays when people drop it; others are looked at."""
    await archive.bring("a", 2)
    await archive.redis.zadd(Keys("dropped").source(SOURCE), {"d": 1})
    drift = Drift(archive.redis, reader)
    facts = await drift.look({(archive.collection, SOURCE): 1, ("dropped", SOURCE): 1})
    assert (facts.last_checked, facts.last_found) == (1, {})
