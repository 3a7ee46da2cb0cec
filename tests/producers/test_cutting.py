"""Promises of how a source is cut: named, remembered, compared."""

from producers.cutting import cutting_of, difference
from producers.sources.documents import DocumentSource
from producers.sources.files import open_source
from producers.splitting import SplitOptions
from tests.producers.mill import SOURCE, Mill


def test_what_differs_is_named(mill: Mill) -> None:
    """Options by the names of their settings, parsers by their versions."""
    source = open_source(str(mill.folder))
    old = cutting_of(source, SplitOptions(200, 20, "tokens"))
    new = cutting_of(source, SplitOptions(300, 20, "characters"))
    assert difference(old, new) == "chunk_size 200 -> 300, chunk_unit tokens -> characters"
    assert difference(old, old) == ""
    assert "markdown-1" in old
    raised = old.replace("markdown-1", "markdown-2")
    assert difference(old, raised) == "parser markdown-1 -> markdown-2"
    assert difference(old.replace("markdown-1,", ""), old) == "", "a new format cuts nothing anew"
    of_program = cutting_of(DocumentSource("program", ()), SplitOptions())
    assert of_program.endswith("|document-1")


async def test_it_is_remembered_once_all_is_listed(mill: Mill) -> None:
    """Not after a part of the source, nor before the end; a part alone may be all there is."""
    promises = mill.ledger.promises
    mill.write(a="one", b="two")
    assert await promises.cutting(SOURCE) is None
    await mill.bring()
    first = await promises.cutting(SOURCE)
    assert first is not None
    assert first.startswith("recursive-1:20:0:characters|")
    mill.settings = mill.settings.model_copy(update={"chunk_size": 30})
    await mill.bring(glob="a*")
    assert await promises.cutting(SOURCE) == first
    producer = mill.producer()
    async for _ in producer.batches():
        assert await promises.cutting(SOURCE) == first
    assert await promises.cutting(SOURCE) == first.replace(":20:", ":30:")
    assert SOURCE in await promises.sources()
