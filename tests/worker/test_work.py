"""The way of one batch through a worker."""

import msgspec
import numpy as np
import pytest

from contract.batch import decode
from contract.errors import ThrottledError
from contract.ledger.records import PartMark
from tests.worker.rig import Rig, kill
from worker.outcome import Outcome, Stage
from worker.retry import MAX_ATTEMPTS
from worker.store import rows_of


async def test_documents_become_searchable(rig: Rig) -> None:
    """All chunks are written, the documents committed, the job counted, the batch gone."""
    batch_id = await rig.shop.order(one="a b c", two="d")
    ingested = await rig.ingester.ingest(rig.shop.collection, batch_id)
    assert rig.shop.rows() == {"one": ["a", "b", "c"], "two": ["d"]}
    assert (ingested.outcome, ingested.chunks, ingested.documents) == (Outcome.FINISHED, 4, 2)
    assert (ingested.tokens, ingested.text_bytes, ingested.dead) == (4, 4, ())
    assert set(ingested.seconds) == {Stage.EMBED, Stage.WRITE, Stage.COMMIT}
    assert await rig.shop.finished()
    job = await rig.shop.state()
    assert job.count("documents_committed") == 2
    assert job.count("chunks_written") == 4


async def test_equal_texts_are_embedded_once(rig: Rig) -> None:
    """Within a batch each text is sent once, and written wherever it occurs."""
    await rig.ingest(await rig.shop.order(one="a b a", two="b"))
    assert rig.mill.calls == [["a", "b"]]
    assert rig.shop.rows() == {"one": ["a", "b", "a"], "two": ["b"]}


async def test_a_new_version_replaces_the_old(rig: Rig) -> None:
    """After an update no chunk of the older version is left."""
    await rig.ingest(await rig.shop.order(one="a b c"))
    await rig.ingest(await rig.shop.order(one="x"))
    assert rig.shop.rows() == {"one": ["x"]}


async def test_a_version_without_chunks_deletes(rig: Rig) -> None:
    """A deleted document leaves no row, and others stay; nothing is embedded for it."""
    await rig.ingest(await rig.shop.order(one="a b", two="c"))
    rig.mill.calls.clear()
    assert await rig.ingest(await rig.shop.order(one="")) is Outcome.FINISHED
    assert rig.shop.rows() == {"two": ["c"]}
    assert rig.mill.calls == []


async def test_a_deleted_document_that_never_was(rig: Rig) -> None:
    """Deleting what has no rows is fine."""
    assert await rig.ingest(await rig.shop.order(one="")) is Outcome.FINISHED
    assert rig.shop.rows() == {}


async def test_a_superseded_batch_costs_no_embedding(rig: Rig) -> None:
    """What is not wanted any more when it is claimed is neither embedded nor written."""
    old = await rig.shop.order(one="a b c")
    new = await rig.shop.order(one="x")
    assert await rig.ingest(old) is Outcome.FINISHED
    assert rig.mill.calls == []
    await rig.ingest(new)
    assert rig.shop.rows() == {"one": ["x"]}
    assert await rig.shop.finished()


async def test_superseded_while_it_is_embedded(rig: Rig) -> None:
    """Rows of a version that was superseded meanwhile are taken out again."""
    old = await rig.shop.order(one="a b c", two="d")
    newer: list[str] = []

    async def update() -> None:
        newer.append(await rig.shop.order(one="x"))

    rig.mill.before = update
    assert await rig.ingest(old) is Outcome.FINISHED
    assert rig.shop.rows() == {"two": ["d"]}
    await rig.ingest(newer[0])
    assert rig.shop.rows() == {"one": ["x"], "two": ["d"]}


async def test_superseded_between_write_and_settling(rig: Rig) -> None:
    """The look after the write finds the newer version, and the rows are taken out again."""
    old = await rig.shop.order(one="a b c")
    newer: list[str] = []

    async def update() -> None:
        newer.append(await rig.shop.order(one="x"))

    rig.after["upsert"].append(update)
    await rig.ingest(old)
    assert rig.shop.rows() == {}
    await rig.ingest(newer[0])
    assert rig.shop.rows() == {"one": ["x"]}


async def test_a_late_worker_does_not_touch_the_newer_version(rig: Rig) -> None:
    """A worker that wakes up after the newer version is committed removes its own rows only."""
    old = await rig.shop.order(one="a b c")

    async def overtake() -> None:
        new = await rig.shop.order(one="x")
        await rig.make("other:").ingest(rig.shop.collection, new)

    rig.mill.before = overtake
    assert await rig.ingest(old) is Outcome.FINISHED
    assert rig.shop.rows() == {"one": ["x"]}


async def test_the_last_part_commits(rig: Rig) -> None:
    """A document in several batches is committed by whichever is last, whatever the order."""
    await rig.ingest(await rig.shop.order(one="old"))
    (whole,) = await rig.shop.parts(one="a b c")
    halves = [
        msgspec.structs.replace(whole, chunks=whole.chunks[:2]),
        msgspec.structs.replace(whole, chunks=whole.chunks[2:], first=2),
    ]
    ids = [await rig.shop.publish(half) for half in halves]
    await rig.ingest(ids[1])
    assert sorted(rig.shop.rows()["one"]) == ["c", "old"]
    await rig.ingest(ids[0])
    assert rig.shop.rows() == {"one": ["a", "b", "c"]}


async def test_a_refused_text_costs_its_document_alone(rig: Rig) -> None:
    """Its document is withdrawn with a dead letter, all others of the batch are committed."""
    batch_id = await rig.shop.order(one="a b", two="c poison d", three="e")
    ingested = await rig.ingester.ingest(rig.shop.collection, batch_id)
    assert rig.shop.rows() == {"one": ["a", "b"], "three": ["e"]}
    assert ingested.dead == ("EmbeddingRefusedError",)
    (letter,) = await rig.shop.letters()
    assert (letter.document_id, letter.stage, letter.key) == ("two", "embed", "two.md")
    assert await rig.shop.count("documents_failed") == 1
    assert await rig.shop.finished()


async def test_a_refused_row_costs_its_document_alone(rig: Rig) -> None:
    """What Milvus refuses is found among the rows of the batch."""
    good, bad = await rig.shop.parts(one="a b", two="c d")
    bad = msgspec.structs.replace(bad, metadata={"bytes": b"x", "path": "two.md"})
    await rig.ingest(await rig.shop.publish(good, bad))
    assert rig.shop.rows() == {"one": ["a", "b"]}
    (letter,) = await rig.shop.letters()
    assert (letter.document_id, letter.stage) == ("two", "write")


async def test_a_document_that_turned_bad_keeps_its_last_good_version(rig: Rig) -> None:
    """A search finds what was there before the update that can't be ingested."""
    await rig.ingest(await rig.shop.order(one="a b"))
    await rig.ingest(await rig.shop.order(one="a poison"))
    assert rig.shop.rows() == {"one": ["a", "b"]}


async def test_an_unknown_document_leaves_no_rows(rig: Rig) -> None:
    """Parts that the ledger knows nothing of are superseded by nothing, and dropped."""
    (part,) = await rig.shop.parts(one="a")
    batch_id = await rig.shop.publish(part)
    await rig.shop.redis.delete(rig.shop.ledger.keys.document("one"))
    assert await rig.ingest(batch_id) is Outcome.FINISHED
    assert rig.shop.rows() == {}


async def test_what_is_committed_is_not_written_again(rig: Rig) -> None:
    """A batch killed before it was struck off comes again: its chunks only count, and once."""
    first, second = await rig.shop.pieces(2, one="a b c")
    (part,) = decode((await rig.shop.ledger.claim(first, "dead:", 30.0)).payload).parts
    store = await rig.stores.get(rig.shop.collection)
    await store.upsert(rows_of(part), np.ones((2, 4), np.float32))
    await rig.shop.ledger.settle([PartMark(part.document_id, part.version, 0, 2)])
    await rig.shop.ledger.sweep(silent_owner="dead:")
    await rig.ingest(second)
    rig.before["upsert"].append(kill)
    assert await rig.ingest(first) is Outcome.FINISHED
    assert rig.mill.texts == ["c"]
    assert rig.shop.rows() == {"one": ["a", "b", "c"]}
    assert await rig.shop.count("chunks_written") == 3
    assert await rig.shop.finished()


@pytest.mark.parametrize("text", ["ok cursed", "cursed"])
async def test_a_text_that_never_gets_through_is_found_in_the_end(rig: Rig, text: str) -> None:
    """After five attempts with all servers there, the batch is halved like one refused."""
    batch_id = await rig.shop.order(one="a b", two=text, three="c")
    await rig.worn_out(batch_id, first_error="it hung")
    ingested = await rig.ingester.ingest(rig.shop.collection, batch_id)
    assert ingested.outcome is Outcome.FINISHED
    assert rig.shop.rows() == {"one": ["a", "b"], "three": ["c"]}
    (letter,) = await rig.shop.letters()
    assert (letter.reason, letter.stage, letter.attempts) == ("TransientError", "embed", 6)
    assert letter.message == "a text does not get through"
    assert letter.first_error == "it hung"
    assert letter.ordinals == (text.split().index("cursed"),)


async def test_a_throttled_batch_is_never_to_blame(rig: Rig) -> None:
    """However often it was tried, a text is not dead because the endpoint is busy."""
    batch_id = await rig.shop.order(one="a")
    await rig.worn_out(batch_id)
    rig.mill.denial = ThrottledError("slow down", 0.4)
    assert await rig.ingest(batch_id) is Outcome.GIVEN_BACK
    assert await rig.shop.letters() == []
    assert await rig.attempts(batch_id) == MAX_ATTEMPTS


async def test_rows_of_unknown_versions_are_deleted_too(rig: Rig) -> None:
    """Where the ledger was lost once, the commit takes out all rows of older versions."""
    await rig.ingest(await rig.shop.order(one="a b c", two="d"))
    await rig.shop.redis.flushall()
    rig.shop.knows_all, rig.shop.job = False, ""
    await rig.ingest(await rig.shop.order(one="x"))
    assert rig.shop.rows() == {"one": ["x"], "two": ["d"]}
