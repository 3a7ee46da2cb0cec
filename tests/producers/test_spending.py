"""Promises of budgets, with a real ledger and workers without servers."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from contract.batch import Batch, Chunk, Part
from contract.ledger.jobs import JobState
from contract.ledger.records import Outcome
from contract.ledger.usage import DAY_SECONDS, Usage, day_of
from contract.queue import make_app
from producers import spending
from producers.deleting import Deletions
from producers.document import Entry, Reason
from producers.drafting import Draft
from producers.producer import Producer
from producers.sources.files import open_source
from producers.spending import Budget, Budgets, Read, Spending
from tests.producers.mill import COLLECTION, SOURCE, Mill


def words(text: str) -> int:
    """Count tokens as the model of these tests does."""
    return len(text.split())


def run_of(tokens: int) -> Budgets:
    """Give the budget of a run."""
    return Budgets(words, run=Budget(tokens, f"--max-tokens {tokens}"))


def day_of_source(tokens: int, now: Callable[[], float]) -> Budgets:
    """Give the budget of a day."""
    return Budgets(words, day=Budget(tokens, f"source_tokens_per_day {tokens}"), now=now)


def producer(mill: Mill, budgets: Budgets, name: str = SOURCE, *, keeps: bool = False) -> Producer:
    """Make a producer of the folder."""
    source = open_source(str(mill.folder), name=name)
    never = Deletions.NEVER if keeps else Deletions.GUARDED
    return Producer(mill.redis, mill.settings, source, COLLECTION, deletions=never, budgets=budgets)


async def bring(
    mill: Mill, budgets: Budgets, used: Callable[[Batch], int] | None = None
) -> tuple[Producer, int]:
    """Import, with workers that use so many tokens; gives the producer, and what they used."""
    made, total = producer(mill, budgets), 0
    async with asyncio.timeout(30):
        async for batch in made.batches():
            await mill.ledger.publish([batch])
            tokens = tokens_in(batch) if used is None else used(batch)
            await mill.work([batch], tokens=tokens)
            total += tokens
    return made, total


def tokens_in(batch: Batch) -> int:
    """Count the tokens of a batch."""
    return sum(words(chunk.text) for part in batch.parts for chunk in part.chunks)


@pytest.fixture
def library(mill: Mill) -> Mill:
    """Give a folder of ten documents with four tokens each."""
    mill.write(**{name: f"{name} two three four" for name in "abcdefghij"})
    return mill


async def test_a_run_stops_before_its_budget_and_the_next_goes_on(library: Mill) -> None:
    """Never more than the budget; the job says why, in a state of its own; all is brought once."""
    brought, stops = 0, []
    for _ in range(4):
        made, used = await bring(library, run_of(15))
        assert used <= 15
        brought += used
        job = await library.job(made)
        assert job.sealed
        assert job.held == made.tally.held
        stops.append(job.state(job.seen_ms))
    assert brought == 40
    assert stops == [JobState.BUDGET_REACHED] * 3 + [JobState.DONE]
    assert set(library.texts()) == set("abcdefghij")


async def test_it_says_which_budget_and_how_to_go_on(library: Mill) -> None:
    """By the name under which a person gave it."""
    made, _ = await bring(library, run_of(15))
    assert "--max-tokens 15" in made.tally.held
    assert "12 tokens are used, the next document has 4" in made.tally.held
    assert "same command" in made.tally.held


async def test_what_was_cheaper_than_expected_is_free_again(library: Mill) -> None:
    """Batches that reuse vectors use less than was set aside: the run waits, and goes on."""
    made, used = await bring(library, run_of(15), used=lambda batch: len(batch.parts))
    assert used == 10
    assert made.tally.held == ""
    assert set(library.texts()) == set("abcdefghij")


async def test_nothing_is_deleted_once_a_budget_is_reached(library: Mill) -> None:
    """A file that was moved would be gone before it is back."""
    await bring(library, run_of(1000))
    (library.folder / "a.md").rename(library.folder / "k.md")
    library.write(**{name: f"{name} is another text now" for name in "bcd"})
    library.settings = library.settings.model_copy(update={"max_delete_share": 1.0})
    made, _ = await bring(library, run_of(10))
    assert made.tally.held
    assert made.tally.outcomes[Outcome.DELETED] == 0
    assert "a" in library.texts()
    made, _ = await bring(library, run_of(1000))
    assert made.tally.held == ""
    assert set(library.texts()) == set("bcdefghijk")


async def test_a_document_larger_than_the_whole_budget_is_left_out(library: Mill) -> None:
    """It is named with its size, and the others go on: it would stop every run for ever."""
    library.write(c=" ".join(f"w{number}" for number in range(50)))
    made, _ = await bring(library, run_of(45))
    assert made.tally.held == ""
    (left,) = made.tally.omissions
    assert (left.key, left.reason) == ("c.md", Reason.OVER_BUDGET)
    assert left.failed
    assert "50 tokens" in left.message
    assert "--max-tokens 45" in left.message
    assert set(library.texts()) == set("abdefghij")
    made, _ = await bring(library, run_of(50))
    assert made.tally.omissions == []
    assert set(library.texts()) == set("abcdefghij")
    assert [letter async for letter in library.ledger.letters.scan()] == []


async def test_a_day_and_the_days_after_it(library: Mill) -> None:
    """A run that reaches the day's budget goes on the next day, and not before."""
    seconds, _ = await library.redis.time()
    clock = float(seconds)
    found = []
    for days in (0, 0, 1, 2):
        now = clock + days * DAY_SECONDS
        made, used = await bring(library, day_of_source(16, functools.partial(float, now)))
        found.append((used, bool(made.tally.held)))
        if made.tally.held:
            assert "source_tokens_per_day 16" in made.tally.held
            assert "midnight" in made.tally.held
    assert found == [(16, True), (0, True), (16, True), (8, False)]
    assert set(library.texts()) == set("abcdefghij")
    usage = await Usage(library.redis, COLLECTION).of_day(day_of(clock))
    assert usage == {SOURCE: 40}


async def test_a_run_without_work_to_do_is_not_held(library: Mill) -> None:
    """A budget that is used up stops nobody who needs none of it."""
    await bring(library, run_of(1000))
    seconds, _ = await library.redis.time()
    made, _ = await bring(library, day_of_source(40, lambda: float(seconds)))
    assert made.tally.held == ""
    assert made.tally.outcomes[Outcome.UNCHANGED] == 10


async def test_sources_of_one_run_share_its_budget(library: Mill) -> None:
    """What the first has used is not there for the second."""
    budgets = run_of(50)
    await bring(library, budgets)
    second = producer(library, budgets, "other")
    used = 0
    async with asyncio.timeout(30):
        async for batch in second.batches():
            await library.ledger.publish([batch])
            await library.work([batch], tokens=tokens_in(batch))
            used += tokens_in(batch)
    assert used == 8
    assert second.tally.held


@asynccontextmanager
async def working(mill: Mill, used: list[int]) -> AsyncIterator[None]:
    """Let a worker work beside the block, and note the tokens of each batch."""

    async def work() -> None:
        while True:
            for batch in await mill.waiting():
                used.append(tokens_in(batch))
                await mill.work([batch], tokens=used[-1])
            await asyncio.sleep(0.01)

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_producer_that_publishes_by_itself(
    library: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It publishes all that it has promised before it waits, also what fills no batch."""
    monkeypatch.setattr(spending, "POLL_SECONDS", 0.01)
    used: list[int] = []
    made = producer(library, run_of(30))
    app = make_app(library.settings)
    try:
        async with asyncio.timeout(30), working(library, used):
            await made.run(app)
    finally:
        app.close()
    assert sum(used) == 28
    assert made.tally.held
    assert (await library.job(made)).count("documents_new") == 7


async def test_two_runs_at_once_share_a_day(library: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    """Together they stay within it, though neither sees what the other is about to use."""
    monkeypatch.setattr(spending, "POLL_SECONDS", 0.01)
    other = Mill(library.folder.parent / "more", library.redis, library.settings)
    other.write(**{name: f"{name} other three four" for name in "klmnopqrst"})
    seconds, _ = await library.redis.time()
    first = producer(library, day_of_source(40, lambda: float(seconds)), keeps=True)
    second = producer(other, day_of_source(40, lambda: float(seconds)), keeps=True)
    used: list[int] = []
    app = make_app(library.settings)
    try:
        async with asyncio.timeout(30), working(library, used):
            await asyncio.gather(first.run(app), second.run(app))
    finally:
        app.close()
    assert sum(used) <= 40
    assert first.tally.held or second.tally.held


def _draft(name: str) -> Read:
    """Make a draft of four tokens."""
    entry = Entry(name, name.encode(), None, 0, 0)
    chunk = Chunk(key=name, text=f"{name} two three four")
    part = Part(
        document_id=name,
        source=SOURCE,
        version=0,
        content_hash="",
        chunk_count=1,
        first=0,
        chunks=(chunk,),
    )
    return 0, Draft(entry, part)


async def test_what_does_not_fit_at_first_is_asked_for_again(mill: Mill) -> None:
    """All was set aside for those before; they are through by now, and have used less."""
    job = await mill.jobs.create(SOURCE)
    usage = Usage(mill.redis, COLLECTION)
    spent = Spending(usage, mill.jobs, run_of(8), SOURCE, job)
    for names, given in (("ab", [2]), ("cd", [0, 2])):
        drafted = [_draft(name) for name in names]
        assert [len(portion) async for portion in spent.portions(drafted)] == given
        assert not spent.held
    await mill.redis.hincrby(mill.ledger.keys.job(job), "tokens", 5)
    assert [len(portion) async for portion in spent.portions([_draft("e")])] == [0]
    assert "5 tokens are used, the next document has 4" in spent.held
