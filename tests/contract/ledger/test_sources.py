"""Sources: what is known of them, how long documents stay, and when they are forgotten."""

import time

from contract.ledger.letters import Letters
from contract.ledger.records import DeadLetter, Outcome
from contract.ledger.sources import Sources, SourceState
from tests.contract.ledger.shelf import Shelf
from tests.contract.ledger.world import GONE, SOURCE

DAY = 86_400


async def test_a_source_is_known_by_its_last_listing(shelf: Shelf) -> None:
    """With its origin, the number of its documents, and when it was listed."""
    sources = Sources(shelf.ledger.redis, shelf.ledger.collection)
    assert await sources.all() == []
    await shelf.commit("good")
    begun = await shelf.ledger.promises.begin_listing(SOURCE, "/shelf")
    await sources.set_ttl(SOURCE, 30 * DAY)
    assert await sources.all() == [SourceState(SOURCE, "/shelf", 1, begun, 30 * DAY)]
    assert abs(begun - time.time() * 1000) < 60_000
    await sources.set_ttl(SOURCE, None)
    state = await sources.get(SOURCE)
    assert state is not None
    assert state.ttl_seconds is None
    assert await sources.get("another") is None


async def test_rows_are_those_that_are_committed(shelf: Shelf) -> None:
    """A promise has none yet."""
    sources = Sources(shelf.ledger.redis, shelf.ledger.collection)
    await shelf.commit("good")
    before = await sources.rows(SOURCE)
    assert before > 0
    await shelf.register("better", document="d1")
    assert await sources.rows(SOURCE) == before


async def test_a_source_with_documents_is_not_forgotten(shelf: Shelf) -> None:
    """Only once nothing is left of it; its readings are numbered on."""
    sources = Sources(shelf.ledger.redis, shelf.ledger.collection)
    promises = shelf.ledger.promises
    await shelf.commit("good")
    await promises.begin_listing(SOURCE, "/shelf")
    reading = await promises.begin_reading(SOURCE)
    assert not await sources.forget(SOURCE)
    deleted = await shelf.register(GONE, reading=reading)
    await shelf.ingest(*await shelf.publish(deleted, GONE))
    await promises.set_cutting(SOURCE, "as ever")
    assert await sources.forget(SOURCE)
    assert await sources.all() == []
    assert await promises.origin(SOURCE) is None
    again = await shelf.register("good", reading=await promises.begin_reading(SOURCE))
    assert again.outcome is Outcome.NEW


async def test_clocks_start_where_it_is_not_known_when_a_document_was_seen(shelf: Shelf) -> None:
    """After a rebuild documents stay as long as if they were seen just now."""
    sources = Sources(shelf.ledger.redis, shelf.ledger.collection)
    promises = shelf.ledger.promises
    await shelf.commit("good")  # before any listing
    assert await promises.count_unseen(SOURCE, 1) == 1
    before = round(time.time() * 1000) - 60_000
    assert await sources.start_clocks(SOURCE) == 1
    assert await sources.start_clocks(SOURCE) == 0
    assert await promises.count_unseen(SOURCE, before) == 0
    listing = await promises.begin_listing(SOURCE, "/shelf")
    assert await promises.count_unseen(SOURCE, listing) == 1, "a listing counts all the same"


async def test_a_letter_alone_is_a_document_of_its_source(shelf: Shelf) -> None:
    """It is to be removed with it."""
    await shelf.ledger.promises.begin_listing(SOURCE, "/shelf")
    letter = DeadLetter(
        document_id="d9",
        source=SOURCE,
        key="d9",
        key_bytes=b"d9",
        job="",
        stage="read",
        reason="malformed",
        message="",
        at_ms=1,
    )
    await Letters(shelf.ledger.redis, shelf.ledger.collection).bury([letter])
    state = await Sources(shelf.ledger.redis, shelf.ledger.collection).get(SOURCE)
    assert state is not None
    assert state.documents == 1
