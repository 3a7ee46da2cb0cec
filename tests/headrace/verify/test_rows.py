"""Reading a collection as it is: every row, in order, whatever its id."""

import pytest

from contract.errors import CollectionMismatchError, UnreachableError
from headrace.verify import rows as module
from headrace.verify.rows import Rows
from tests.headrace.verify.archive import Archive, ids_of

ODD_IDS = ['two "quotes"', "it's", "back\\slash", "naïve 水車", "~ the last", ""]


def write_odd_rows(archive: Archive) -> None:
    """Write rows as another program might."""
    archive.client.upsert(
        archive.collection,
        [
            {
                "chunk_id": odd,
                "chunk_key": "k",
                "document_id": "d",
                "source": "s",
                "version": 1,
                "ordinal": 0,
                "content_hash": "h",
                "text": "text",
                "vector": [1.0, 2.0],
            }
            for odd in ODD_IDS
        ],
    )


async def test_all_rows_come_in_order(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those written this moment, over many pages, with ids of any kind."""
    monkeypatch.setattr(module, "PAGE", 7)
    monkeypatch.setattr(module, "FIRST_LIMIT", 3)
    monkeypatch.setattr(module, "SMALLEST_LIMIT", 2)
    parts = [await archive.bring(f"{number}.md", 12) for number in range(5)]
    write_odd_rows(archive)
    expected = ids_of(*parts) | set(ODD_IDS)
    async with Rows.open(archive.settings, archive.collection) as rows:
        pages = [page async for page in rows.pages()]
        found = [row for page in pages for row in page]
        assert found == sorted(expected)
        assert len(pages) > 8
        assert await rows.count() == len(expected)
        assert await rows.count(first=found[3], last=found[9]) == 7


async def test_rows_are_read_and_deleted_by_id(archive: Archive) -> None:
    """Whatever the ids are; absent ones are left out, rows without our fields say nothing."""
    part = await archive.bring("a.md", 3)
    write_odd_rows(archive)
    known = sorted(ids_of(part))
    async with Rows.open(archive.settings, archive.collection) as rows:
        assert await rows.present([*ODD_IDS, *known, "absent"]) == {*ODD_IDS, *known}
        facts = await rows.facts([known[0], ODD_IDS[0], "absent"])
        assert set(facts) == {known[0], ODD_IDS[0]}
        assert facts[known[0]].chunk_count == 3
        assert facts[known[0]].path == "a.md"
        assert facts[ODD_IDS[0]].chunk_count == 0
        await rows.delete([*ODD_IDS, known[1], "absent"])
        assert await rows.present([*ODD_IDS, *known]) == {known[0], known[2]}
        await rows.delete([])
        assert await rows.present([]) == set()


async def test_a_collection_that_is_not_there_is_empty(archive: Archive) -> None:
    """It has no rows; nothing is made."""
    async with Rows.open(archive.settings, "absent") as rows:
        assert not rows.exists
        assert await rows.is_empty()
        assert [page async for page in rows.pages()] == []
        assert await rows.present(["x"]) == set()
    async with Rows.open(archive.settings, archive.collection) as rows:
        assert await rows.is_empty()
    assert "absent" not in archive.client.list_collections()


async def test_what_is_not_ours_is_refused(archive: Archive) -> None:
    """A collection of another program, by its own name, is not looked into."""
    with pytest.raises(CollectionMismatchError):
        async with Rows.open(archive.settings, f"{archive.collection}_1"):
            pass


async def test_a_server_that_is_away_is_told(archive: Archive) -> None:
    """With its address."""
    away = archive.settings.model_copy(update={"milvus_uri": "http://127.0.0.1:1"})
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1"):
        async with Rows.open(away, "absent"):
            pass
