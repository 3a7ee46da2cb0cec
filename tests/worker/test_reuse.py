"""Vectors that are read back instead of made."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.batch import Chunk, Part
from contract.errors import ThrottledError, UnreachableError
from contract.ids import chunk_id
from contract.ledger.records import Rows
from tests.worker.rig import Rig
from worker.outcome import Outcome
from worker.reuse import FRUITLESS_READS, MARGIN, Search, find_vectors
from worker.store import IDS_IN_ONE_READ, StoredRow


class Shelf:
    """Rows of one version, that notes what is read of it."""

    def __init__(self, texts: Sequence[str], document: str = "d") -> None:
        """Hold a row for each text, with its ordinal as its vector."""
        self.rows = Rows(document, 7, len(texts))
        self.held = {
            chunk_id(document, 7, at): StoredRow(text, {}, np.array([at], np.float32))
            for at, text in enumerate(texts)
        }
        self.reads: list[int] = []

    async def read(self, ids: Sequence[str]) -> Mapping[str, StoredRow]:
        """Give the rows that are there."""
        self.reads.append(len(ids))
        return {name: self.held[name] for name in ids if name in self.held}

    def search(self, *texts: str, first: int = 0) -> Search:
        """Look for texts of a part."""
        part = Part(
            document_id="d",
            source="books",
            version=8,
            content_hash="c",
            chunk_count=first + len(texts),
            first=first,
            chunks=tuple(Chunk(key=str(at), text=text) for at, text in enumerate(texts)),
        )
        return Search(part, self.rows)


@given(count=st.integers(0, 2_500), first=st.integers(0, 3_000), at=st.integers(0, 2_499))
async def test_a_text_is_found_wherever_it_was(count: int, first: int, at: int) -> None:
    """Every row may be read, none twice, and each time no more than one call takes."""
    shelf = Shelf([f"text {number}" for number in range(count)])
    found = await find_vectors([shelf.search(f"text {at}", "new", first=first)], shelf.read)
    assert list(found) == ([f"text {at}"] if at < count else [])
    assert all(vector[0] == at for vector in found.values())
    assert sum(shelf.reads) == count
    assert all(number <= IDS_IN_ONE_READ for number in shelf.reads)


async def test_what_lies_near_is_read_first_and_alone() -> None:
    """An unchanged part in the middle of a long document costs one read of its surroundings."""
    shelf = Shelf([f"text {number}" for number in range(20_000)])
    texts = [f"text {number}" for number in range(9_000, 9_128)]
    assert set(await find_vectors([shelf.search(*texts, first=9_003)], shelf.read)) == set(texts)
    assert shelf.reads == [128 + 2 * MARGIN]


async def test_a_search_without_luck_ends() -> None:
    """A new text does not cost reading all of a huge document."""
    shelf = Shelf([f"text {number}" for number in range(20_000)])
    assert await find_vectors([shelf.search("new", first=9_000)], shelf.read) == {}
    assert sum(shelf.reads) <= FRUITLESS_READS * IDS_IN_ONE_READ


async def test_many_short_documents_are_read_together() -> None:
    """A batch of a hundred changed documents makes one read, not a hundred."""
    shelves = [Shelf([f"text {at}", "other"], f"d{at}") for at in range(100)]
    everything = shelves[0]
    for shelf in shelves[1:]:
        everything.held |= shelf.held
    searches = [shelf.search(f"text {at}", "new") for at, shelf in enumerate(shelves)]
    assert len(await find_vectors(searches, everything.read)) == 100
    assert everything.reads == [200]


async def test_nothing_to_look_for_is_no_read() -> None:
    """Neither no searches nor an empty version cost a call."""
    shelf = Shelf([])
    assert await find_vectors([], shelf.read) == {}
    assert await find_vectors([shelf.search("a")], shelf.read) == {}
    assert shelf.reads == []


# --- in a worker


async def vectors_of(rig: Rig) -> dict[str, bytes]:
    """Read the vectors of all texts, bit by bit."""
    rows = rig.shop.client.query(
        rig.shop.collection,
        filter="ordinal >= 0",
        output_fields=["text", "vector"],
        limit=10_000,
        consistency_level="Strong",
    )
    return {row["text"]: np.asarray(row["vector"], np.float32).tobytes() for row in rows}


async def test_a_changed_document_embeds_what_changed(rig: Rig) -> None:
    """One sentence of five is new: one text is sent, and the other vectors stay the same."""
    await rig.ingest(await rig.shop.order(one="a b c d e"))
    before = await vectors_of(rig)
    rig.mill.calls.clear()
    batch_id = await rig.shop.order(one="a b X d e")
    ingested = await rig.ingester.ingest(rig.shop.collection, batch_id)
    assert rig.mill.texts == ["X"]
    assert (ingested.chunks, ingested.reused, ingested.tokens) == (5, 4, 1)
    assert rig.shop.rows() == {"one": ["a", "b", "X", "d", "e"]}
    after = await vectors_of(rig)
    assert {text: after[text] for text in "abde"} == {text: before[text] for text in "abde"}
    assert await rig.shop.count("chunks_reused") == 4


async def test_moved_grown_and_shrunk_texts_are_found(rig: Rig) -> None:
    """What counts is the text, not its place, and a text may occur more often than before."""
    await rig.ingest(await rig.shop.order(one="a b c"))
    rig.mill.calls.clear()
    await rig.ingest(await rig.shop.order(one="c a a x b x"))
    assert rig.mill.calls == [["x"]]
    assert rig.shop.rows() == {"one": ["c", "a", "a", "x", "b", "x"]}
    await rig.ingest(await rig.shop.order(one="b"))
    assert rig.mill.calls == [["x"]]
    assert await rig.shop.count("chunks_reused") == 5


async def test_a_moved_document_embeds_nothing(rig: Rig) -> None:
    """The same content under another name takes its vectors from there."""
    await rig.ingest(await rig.shop.order(old="a b c"))
    rig.mill.calls.clear()
    (part,) = await rig.shop.parts(new="a b c")
    assert part.twin == "old"
    ingested = await rig.ingester.ingest(rig.shop.collection, await rig.shop.publish(part))
    assert rig.mill.calls == []
    assert ingested.reused == 3
    assert rig.shop.rows() == {"old": ["a", "b", "c"], "new": ["a", "b", "c"]}


async def test_a_twin_that_is_gone_by_now_is_no_loss(rig: Rig) -> None:
    """Its rows were deleted before: then the texts are embedded."""
    await rig.ingest(await rig.shop.order(old="a b"))
    moved = await rig.shop.order(new="a b")
    await rig.ingest(await rig.shop.order(old=""))
    rig.mill.calls.clear()
    assert await rig.ingest(moved) is Outcome.FINISHED
    assert rig.mill.calls == [["a", "b"]]
    assert rig.shop.rows() == {"new": ["a", "b"]}


async def test_rows_that_are_missing_are_embedded(rig: Rig) -> None:
    """Whatever happened to the old rows, the new version is whole."""
    await rig.ingest(await rig.shop.order(one="a b c"))
    rig.shop.client.delete(f"{rig.shop.collection}_1", filter="ordinal == 1")
    rig.mill.calls.clear()
    await rig.ingest(await rig.shop.order(one="a b c d"))
    assert rig.mill.calls == [["b", "d"]]
    assert rig.shop.rows() == {"one": ["a", "b", "c", "d"]}


async def test_reading_that_fails_for_good_is_done_without(rig: Rig) -> None:
    """Short of vectors that can be read, all texts are embedded."""
    await rig.ingest(await rig.shop.order(one="a b"))
    rig.mill.calls.clear()

    async def fail() -> None:
        raise UnreachableError("away")

    rig.before["read"] += [fail] * 3
    assert await rig.ingest(await rig.shop.order(one="a c")) is Outcome.FINISHED
    assert rig.mill.calls == [["a", "c"]]


async def test_reading_that_fails_for_a_moment_is_tried_again(rig: Rig) -> None:
    """A hiccup costs no embedding; being throttled neither."""
    await rig.ingest(await rig.shop.order(one="a b"))
    rig.mill.calls.clear()

    async def fail() -> None:
        raise UnreachableError("away")

    async def throttle() -> None:
        raise ThrottledError("slow down")

    rig.before["read"].append(fail)
    assert await rig.ingest(await rig.shop.order(one="a c")) is Outcome.FINISHED
    rig.before["read"] += [throttle] * 3
    assert await rig.ingest(await rig.shop.order(one="a c d")) is Outcome.GIVEN_BACK
    assert rig.mill.calls == [["c"]]


@pytest.mark.parametrize("pieces", [1, 3])
async def test_each_batch_of_a_document_finds_its_own(rig: Rig, pieces: int) -> None:
    """Batches of one document look for their texts in all of it."""
    words = [f"w{number}" for number in range(12)]
    await rig.ingest(await rig.shop.order(one=" ".join(words)))
    rig.mill.calls.clear()
    for batch_id in await rig.shop.pieces(pieces, one=" ".join(["new", *words])):
        assert await rig.ingest(batch_id) is Outcome.FINISHED
    assert rig.mill.texts == ["new"]
    assert rig.shop.rows() == {"one": ["new", *words]}
