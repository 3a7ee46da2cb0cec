"""Promises of what is said before documents are cut anew."""

import pytest
from langchain_core.documents import Document

from headrace.recutting import notices
from producers.sources.documents import DocumentSource
from producers.sources.files import open_source
from producers.sources.source import Source
from tests.producers.conftest import mill as mill  # noqa: PLC0414 - a fixture
from tests.producers.mill import COLLECTION, SOURCE, Mill


async def _told(mill: Mill, source: Source | None = None) -> tuple[str, list[str]]:
    said: list[str] = []
    opened = source or open_source(str(mill.folder), name=SOURCE)
    promises = mill.ledger.promises
    (notice,) = await notices(mill.settings, COLLECTION, promises, [opened], said.append)
    return notice, said


@pytest.fixture
async def imported(mill: Mill) -> Mill:
    """Give a folder that was imported in short chunks."""
    mill.write(a="one two three four five", b="six")
    await mill.bring()
    return mill


async def test_as_long_as_nothing_differs_nothing_is_said(mill: Mill, imported: Mill) -> None:
    """Nor before the first import."""
    assert await _told(imported) == ("", [])
    assert await _told(mill, open_source(str(mill.folder), name="never")) == ("", [])


async def test_it_tells_what_differs_and_what_it_costs(imported: Mill) -> None:
    """The documents that are cut anew, with new ones beside them, at most; in money too."""
    imported.write(c="seven")
    imported.settings = imported.settings.model_copy(
        update={"chunk_size": 10, "embedding_price": 1e6}
    )
    notice, said = await _told(imported)
    assert notice == (
        "docs: chunk_size 20 -> 10: 2 documents to be embedded anew and 1 new, "
        "at most 5 chunks, 7 tokens, at most about $7.0000"
    )
    assert said[-1] == notice
    assert len(said) == 2
    await imported.bring()
    assert await _told(imported) == ("", [])


async def test_what_costs_nothing_is_not_announced(imported: Mill) -> None:
    """After a run that did it all and could not say so, nothing is left to be cut."""
    old = await imported.ledger.promises.cutting(SOURCE)
    assert old is not None
    imported.settings = imported.settings.model_copy(update={"chunk_size": 10})
    await imported.bring()
    await imported.ledger.promises.set_cutting(SOURCE, old)
    notice, said = await _told(imported)
    assert notice == ""
    assert len(said) == 1


async def test_what_comes_only_once_is_left_alone(imported: Mill) -> None:
    """Documents of a program can't be counted beforehand and brought afterwards."""
    source = DocumentSource(SOURCE, iter([Document(id="x", page_content="text")]))
    imported.settings = imported.settings.model_copy(update={"chunk_size": 10})
    notice, _ = await _told(imported, source)
    assert "chunk_size 20 -> 10" in notice
    assert len(list(source.listing())) == 1
