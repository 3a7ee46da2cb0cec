"""Rows that Milvus has twice under one id; Milvus Lite never has."""

import pytest

from contract.batch import Part
from headrace.verify.differences import Findings, Kind
from headrace.verify.duplicates import Duplicates
from headrace.verify.rows import Rows
from tests.headrace.verify.archive import Archive

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("milvus_uri", ["server"], indirect=True),
]


async def look(archive: Archive, *, mend: bool = False) -> Findings:
    """Take stock, then look for duplicates."""
    findings = await archive.take_stock()
    async with Rows.open(archive.settings, archive.collection) as rows:
        await Duplicates(rows, archive.rebuilding, findings, mend=mend).look()
    return findings


def insert_again(archive: Archive, part: Part, ordinal: int) -> None:
    """Insert a row that is there, as another program might."""
    (row,) = archive.client.query(
        archive.collection,
        ids=[f"{part.document_id}:{part.version}:{ordinal}"],
        output_fields=["*"],
        consistency_level="Strong",
    )
    archive.client.insert(archive.collection, [row])


async def test_duplicates_are_found_and_their_documents_read_again(archive: Archive) -> None:
    """Of many documents exactly those; the next version takes all copies away."""
    parts = [await archive.bring(f"{number}.md", 20) for number in range(30)]
    assert (await look(archive)).equal
    insert_again(archive, parts[7], 3)
    insert_again(archive, parts[7], 3)
    insert_again(archive, parts[19], 0)
    findings = await look(archive)
    assert {item.key: item.rows for item in findings.named} == {"7.md": 1, "19.md": 1}
    assert set(findings.left) == {Kind.DUPLICATE}
    await look(archive, mend=True)
    states = await archive.rebuilding.states([part.document_id for part in parts])
    assert [s.key_bytes for s in states if s.awaits_reading] == [b"7.md", b"19.md"]
