"""Batches that workers have died of: run alone, halved, and in the end dead."""

import asyncio
from collections import deque
from collections.abc import Sequence

import pytest

from contract.batch import decode
from contract.lane import Lane
from contract.ledger.records import ClaimState
from tests.worker.rig import Killed, Rig
from worker.embedding.embedded import Embedded
from worker.ingest import SUSPECT_CRASHES
from worker.outcome import Outcome
from worker.work import MOST_KILLS_ALONE

DEADLY = "deadly"


class Deadly:
    """Lets the mill kill the worker by a certain text, and counts how often it did."""

    def __init__(self, rig: Rig) -> None:
        """Stand before the mill."""
        self.kills = 0
        self._embed = rig.mill.embed
        rig.mill.embed = self.embed  # type: ignore[method-assign]

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Embedded:  # noqa: ARG002
        """Embed or die."""
        if any(DEADLY in text for text in texts):
            self.kills += 1
            raise Killed
        return await self._embed(texts)


async def until_all_is_done(rig: Rig, *batches: str) -> int:
    """Deliver batches, and what they are split into, until nothing is left; counts the kills."""
    waiting, kills = deque(batches), 0
    while waiting:
        assert kills < 40, "it goes on for ever"
        batch_id = waiting.popleft()
        try:
            await rig.ingest(batch_id)
        except Killed:
            kills += 1
            await rig.shop.ledger.sweep(silent_owner=rig.ingester.worker_id)
            waiting.append(batch_id)
        waiting += rig.announced
        rig.announced.clear()
    return kills


@pytest.mark.parametrize("place", [0, 2, 4])
async def test_the_chunk_that_kills_is_found(rig: Rig, place: int) -> None:
    """All other documents are ingested; one dead letter, after a bounded number of kills."""
    words = ["a", "b", "c", "d"]
    words.insert(place, DEADLY)
    await rig.ingest(await rig.shop.order(bad="old"))
    Deadly(rig)
    batches = [await rig.shop.order(good="x y", bad=" ".join(words), fine="z")]
    batches.append(await rig.shop.order(other="w"))
    kills = await until_all_is_done(rig, *batches)
    halvings = 2 + 3  # of three documents, then of five chunks
    assert kills <= SUSPECT_CRASHES + halvings + MOST_KILLS_ALONE
    assert rig.shop.rows() == {"bad": ["old"], "good": ["x", "y"], "fine": ["z"], "other": ["w"]}
    (letter,) = await rig.shop.letters()
    assert (letter.document_id, letter.reason) == ("bad", "KillsWorkersError")
    assert letter.ordinals == (place,)
    assert [chunk.text for chunk in decode(letter.payload).parts[0].chunks] == words
    assert await rig.shop.finished()
    assert await rig.shop.count("documents_failed") == 1
    assert await rig.shop.count("batches_finished") == await rig.shop.count("batches_published")


async def test_a_batch_alone_in_its_document_dies_too(rig: Rig) -> None:
    """A single chunk gets a second chance alone, and no third."""
    deadly = Deadly(rig)
    batch_id = await rig.shop.order(one=DEADLY)
    await rig.crashed(batch_id, SUSPECT_CRASHES)
    assert await until_all_is_done(rig, batch_id) == deadly.kills == 2
    (letter,) = await rig.shop.letters()
    assert letter.reason == "KillsWorkersError"
    assert rig.shop.rows() == {}


async def test_what_was_unlucky_is_run_alone_and_finished(rig: Rig) -> None:
    """A suspect that is innocent costs nothing but its solitude."""
    batch_id = await rig.shop.order(one="a b")
    await rig.crashed(batch_id, SUSPECT_CRASHES)
    ingested = await rig.ingester.ingest(rig.shop.collection, batch_id)
    assert (ingested.outcome, ingested.isolated) == (Outcome.FINISHED, True)
    assert rig.shop.rows() == {"one": ["a", "b"]}


async def test_a_split_batch_counts_its_chunks_once(rig: Rig) -> None:
    """Its pieces are announced, and bring the same documents to the same end."""
    await rig.ingest(await rig.shop.order(one="old"))
    batch_id = await rig.shop.order(one="a b c", two="d")
    await rig.crashed(batch_id, SUSPECT_CRASHES, alone=1)
    ingested = await rig.ingester.ingest(rig.shop.collection, batch_id)
    assert (ingested.outcome, ingested.isolated) == (Outcome.SPLIT, True)
    assert len(rig.announced) == 2
    assert await rig.ingest(batch_id) is Outcome.DROPPED
    await until_all_is_done(rig, *rig.announced)
    assert rig.shop.rows() == {"one": ["a", "b", "c"], "two": ["d"]}
    assert await rig.shop.count("chunks_written") == 5
    assert await rig.shop.finished()


async def test_a_suspect_waits_until_it_is_alone(rig: Rig) -> None:
    """Its lease is kept meanwhile; others are not claimed before it is through."""
    (ordinary, suspect, later) = [await rig.shop.order(**{name: name}) for name in "abc"]
    await rig.crashed(suspect, SUSPECT_CRASHES)
    ingester = rig.make("w:", lease_seconds=0.3)
    rig.mill.gate.clear()

    def begin(batch_id: str) -> asyncio.Task[object]:
        return asyncio.create_task(ingester.ingest(rig.shop.collection, batch_id))

    working = [begin(ordinary)]
    await rig.until(lambda: rig.mill.texts == ["a"])
    working.append(begin(suspect))
    await rig.until(lambda: rig.solitude._seekers == 1)
    working.append(begin(later))
    await asyncio.wait(working, timeout=0.7)  # more than two leases
    assert rig.mill.texts == ["a"]
    assert (await rig.shop.ledger.claim(suspect, "x", 1.0)).state is ClaimState.TAKEN
    assert (await rig.shop.ledger.claim(later, "x", 0.001)).state is ClaimState.CLAIMED
    await rig.shop.ledger.release(later, "x")
    rig.mill.gate.set()
    await asyncio.gather(*working)
    assert rig.mill.texts == ["a", "b", "c"]
    assert rig.shop.rows() == {"a": ["a"], "b": ["b"], "c": ["c"]}


async def test_a_suspect_that_is_cancelled_while_it_waits(rig: Rig) -> None:
    """It is given back at once, and keeps nobody else out."""
    ordinary, suspect = await rig.shop.order(one="a"), await rig.shop.order(two="b")
    await rig.crashed(suspect, SUSPECT_CRASHES)
    rig.mill.gate.clear()
    working = asyncio.create_task(rig.ingest(ordinary))
    await rig.mill.entered.wait()
    waiting = asyncio.create_task(rig.ingest(suspect))
    await rig.until(lambda: rig.solitude._seekers == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await rig.shop.ledger.claim(suspect, "x", 1.0)).state is ClaimState.CLAIMED
    await rig.shop.ledger.release(suspect, "x")
    rig.mill.gate.set()
    third = await rig.shop.order(three="c")
    assert await rig.ingest(third) is Outcome.FINISHED
    assert await working is Outcome.FINISHED
    assert await rig.ingest(suspect) is Outcome.FINISHED


async def test_two_suspects_take_turns(rig: Rig) -> None:
    """Neither waits for the other for ever, and they are never in hand together."""
    batches = [await rig.shop.order(**{name: name}) for name in "abcd"]
    for batch_id in batches[:2]:
        await rig.crashed(batch_id, SUSPECT_CRASHES)
    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(*map(rig.ingest, batches))
    assert outcomes == [Outcome.FINISHED] * 4


@pytest.mark.parametrize("lane", list(Lane))
async def test_the_halves_of_a_batch_stay_in_its_lane(rig: Rig, lane: Lane) -> None:
    """In the ledger, in their payloads, and when they are announced."""
    parts = await rig.shop.parts(one="a b", two="c")
    whole = await rig.shop.publish(*parts, lane=lane)
    await rig.crashed(whole, SUSPECT_CRASHES, alone=1)
    assert await rig.ingest(whole) is Outcome.SPLIT
    assert rig.lanes == {lane}
    assert len(rig.announced) == 2
    swept = await rig.shop.ledger.sweep(grace_seconds=0)
    assert set(swept.lanes[lane].oldest) == set(rig.announced)
    for half in rig.announced:
        claim = await rig.shop.ledger.claim(half, "w", 30.0)
        assert decode(claim.payload).lane is lane
