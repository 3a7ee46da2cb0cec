"""Promises of a program's own documents as a source."""

from collections.abc import Iterator

import pytest
from langchain_core.documents import Document

from contract.errors import DocumentError, UsageError
from producers.document import Entry, Reason
from producers.sources.documents import DocumentSource

_MUCH = 1_000_000


def _entries(source: DocumentSource) -> list[Entry]:
    return [item for item in source.listing() if isinstance(item, Entry)]


async def test_a_document_comes_through_whole() -> None:
    """Text and nested metadata are given back, with the id as path and title."""
    given = Document(id="a/ü", page_content="text\0", metadata={"tags": ["x"], "n": {"m": None}})
    source = DocumentSource("program", [given])
    (entry,) = _entries(source)
    document = source.parse(entry, await source.read(entry, _MUCH))
    assert (entry.key, entry.key_bytes) == ("a/ü", "a/ü".encode())
    assert document.text == "text"
    assert document.metadata == {
        "path": "a/ü",
        "title": "a/ü",
        "tags": ["x"],
        "n": {"m": None},
    }


async def test_bytes_do_not_depend_on_the_order_of_metadata() -> None:
    """The same text and metadata are the same content, so the ledger calls it unchanged."""
    orders: list[dict[str, int]] = [{"a": 1, "b": 2}, {"b": 2, "a": 1}]
    found = set()
    for metadata in orders:
        source = DocumentSource("program", [Document(id="x", page_content="t", metadata=metadata)])
        (entry,) = _entries(source)
        found.add(await source.read(entry, _MUCH))
    assert len(found) == 1


def test_a_document_without_an_id_is_refused() -> None:
    """An id is what makes a second import an update."""
    with pytest.raises(UsageError, match="needs an id"):
        list(DocumentSource("program", [Document(page_content="text")]).listing())


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (Document(id="x", page_content="text" * 100), Reason.TOO_BIG),
        (Document(id="x", page_content="t", metadata={"x": object()}), Reason.UNREADABLE),
    ],
    ids=["big", "no JSON"],
)
async def test_what_can_not_be_stored_is_one_failure(document: Document, reason: Reason) -> None:
    """A document that is too big or no JSON fails alone."""
    source = DocumentSource("program", [document])
    (entry,) = _entries(source)
    with pytest.raises(DocumentError) as caught:
        await source.read(entry, 100)
    assert caught.value.reason == reason


async def test_a_blank_document_holds_no_text() -> None:
    """A document of white space is left out as an empty file is."""
    source = DocumentSource("program", [Document(id="x", page_content=" \n")])
    (entry,) = _entries(source)
    with pytest.raises(DocumentError) as caught:
        source.parse(entry, await source.read(entry, _MUCH))
    assert caught.value.reason == Reason.EMPTY


async def test_documents_are_taken_one_by_one() -> None:
    """An iterable is read as the job goes on, and nothing read is kept."""
    taken = []

    def documents() -> list[Document]:
        return [Document(id=str(number), page_content="text") for number in range(5)]

    def stream() -> Iterator[Document]:
        for document in documents():
            taken.append(document.id)
            yield document

    source = DocumentSource("program", stream())
    listing = source.listing()
    entry = next(listing)
    assert taken == ["0"]
    assert isinstance(entry, Entry)
    await source.read(entry, _MUCH)
    assert not source._waiting


async def test_an_id_that_comes_twice_at_once_counts_once() -> None:
    """Of two documents with one id that are listed together the last one is taken."""
    twice = [Document(id="x", page_content="old"), Document(id="x", page_content="new")]
    source = DocumentSource("program", twice)
    first, second = _entries(source)
    assert b"new" in await source.read(first, _MUCH)
    with pytest.raises(DocumentError) as caught:
        await source.read(second, _MUCH)
    assert caught.value.reason == Reason.REPEATED
    assert not Reason.REPEATED.failed
