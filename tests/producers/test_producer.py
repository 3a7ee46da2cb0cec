"""Promises of a producer, with a real Redis."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from langchain_core.documents import Document
from redis.asyncio import Redis

from contract.batch import Batch, decode
from contract.errors import CancelledJobError, GuardError, UsageError
from contract.ledger.control import Halt, JobControl
from contract.ledger.jobs import Jobs, JobState
from contract.ledger.ledger import Ledger
from contract.names import LIVE_QUEUE
from contract.queue import make_app, waiting_messages
from contract.settings import Settings
from producers import pulse
from producers.producer import Producer, iterate
from producers.reading import GROUP_DOCUMENTS
from producers.sources.documents import DocumentSource
from producers.sources.files import open_source
from tests.servers.contents import chunks_of
from tests.servers.library import write_library

_FATES = ("documents_unchanged", "documents_pending", "documents_skipped", "documents_unreadable")


@pytest.fixture
def app(settings: Settings, redis: Redis) -> Iterator[Celery]:
    """Give a Celery app on the emptied Redis."""
    app = make_app(settings)
    yield app
    app.close()


def _producer(redis: Redis, settings: Settings, folder: Path) -> Producer:
    return Producer(redis, settings, open_source(str(folder)), "shelf")


async def _published(redis: Redis) -> list[Batch]:
    """Read all batches that stand in the ledger."""
    keys = [key async for key in redis.scan_iter(match=Ledger(redis, "shelf").keys.batch("*"))]
    found = [await redis.hget(key, "payload") for key in keys]
    return [decode(payload) for payload in found if isinstance(payload, bytes)]


async def test_all_chunks_are_published_and_the_job_is_sealed(
    tmp_path: Path, redis: Redis, settings: Settings, app: Celery
) -> None:
    """Every chunk of every file stands in one batch; every listed item is counted once."""
    folder = tmp_path / "docs"
    write_library(folder, GROUP_DOCUMENTS + 6, 1_500)
    (folder / "empty.md").touch()
    (folder / "broken.md").write_bytes(b"\xef\xbb\xbf\xff")
    producer = _producer(redis, settings, folder)
    await producer.run(app)
    batches = await _published(redis)
    counts = Counter[str]()
    for batch in batches:
        for part in batch.parts:
            counts[part.document_id] += len(part.chunks)
    assert counts == Counter(chunks_of(folder))
    assert waiting_messages(app) == len(batches)
    job = await Jobs(redis, "shelf").get(producer.job)
    assert job is not None
    assert job.sealed
    assert job.count("documents_new") == GROUP_DOCUMENTS + 6
    assert job.count("batches_published") == len(batches)
    accounted = sum(job.count(name) for name in ("documents_new", "documents_changed", *_FATES))
    assert accounted == job.count("documents_listed") == GROUP_DOCUMENTS + 8
    assert job.count("source_bytes") == sum(f.stat().st_size for f in folder.rglob("*.md"))
    (letter,) = [letter async for letter in Ledger(redis, "shelf").letters.scan()]
    assert (letter.key, letter.stage, letter.reason) == ("broken.md", "read", "undecodable")
    assert letter.key_bytes == b"broken.md"


async def test_the_first_batches_are_live(
    tmp_path: Path, redis: Redis, settings: Settings, app: Celery
) -> None:
    """A job's lanes are chosen once for all its batches, those that delete among them."""
    folder = tmp_path / "docs"
    write_library(folder, 6, 200)
    few = settings.model_copy(update={"batch_max_chunks": 1, "live_batches": 2})
    producer = _producer(redis, few, folder)
    await producer.run(app)
    published = await _published(redis)
    assert len(published) > 2
    assert sum(batch.is_live for batch in published) == 2
    assert await redis.llen(LIVE_QUEUE) == 2
    for document in folder.rglob("*.md"):
        document.unlink()
    (folder / "one.md").write_text("one", encoding="utf-8")
    allowed = few.model_copy(update={"max_delete_share": 1.0})
    producer = _producer(redis, allowed, folder)
    await producer.run(app)
    mine = [batch for batch in await _published(redis) if batch.job == producer.job]
    assert sum(batch.is_live for batch in mine) == 2
    assert [batch.is_live for batch in mine if batch.parts[0].chunks] == [True]


async def test_a_second_run_resumes(
    tmp_path: Path, redis: Redis, settings: Settings, app: Celery
) -> None:
    """What stands in the ledger is not published again, also after a run that was cut short."""
    folder = tmp_path / "docs"
    write_library(folder, 3 * GROUP_DOCUMENTS, 300)
    tight = settings.model_copy(update={"max_unfinished_batches": 1})
    first = _producer(redis, tight, folder)
    running = asyncio.create_task(first.run(app))
    async with asyncio.timeout(20):
        while not await _published(redis):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])
    cut_short = await Jobs(redis, "shelf").get(first.job)
    assert cut_short is not None
    assert not cut_short.sealed
    before = {part.document_id for batch in await _published(redis) for part in batch.parts}
    assert 0 < len(before) < 3 * GROUP_DOCUMENTS
    second = _producer(redis, settings, folder)
    await second.run(app)
    assert second.tally.counters()["documents_pending"] == len(before)
    assert second.tally.awaited_jobs == {first.job}
    versions = Counter(
        part.document_id for batch in await _published(redis) for part in batch.parts
    )
    assert versions == Counter(dict.fromkeys(chunks_of(folder), 1))


async def test_batches_can_be_taken_by_a_program(
    tmp_path: Path, redis: Redis, settings: Settings
) -> None:
    """A program gets the batches, publishes nothing by that, and at the end seals the job."""
    folder = tmp_path / "docs"
    write_library(folder, 5, 2_000)
    small = settings.model_copy(update={"batch_max_chunks": 3})
    producer = _producer(redis, small, folder)
    batches = [batch async for batch in producer.batches()]
    assert all(batch.chunk_count <= 3 for batch in batches)
    assert sum(batch.chunk_count for batch in batches) == sum(chunks_of(folder).values())
    assert {batch.job for batch in batches} == {producer.job}
    assert await _published(redis) == []
    job = await Jobs(redis, "shelf").get(producer.job)
    assert job is not None
    assert job.state(job.seen_ms) is JobState.DONE


def test_iterate_needs_no_event_loop(tmp_path: Path, settings: Settings) -> None:
    """A plain for loop gives the same batches, and may be left early."""
    folder = tmp_path / "docs"
    write_library(folder, 5, 2_000)
    small = settings.model_copy(update={"batch_max_chunks": 3})
    batches = list(iterate(small, open_source(str(folder)), f"shelf_{tmp_path.name}"))
    assert sum(batch.chunk_count for batch in batches) == sum(chunks_of(folder).values())
    for batch in iterate(small, open_source(str(folder)), f"shelf_{tmp_path.name}"):
        assert batch.chunk_count
        break
    with pytest.raises(UsageError, match="HEADRACE_REDIS_URL"):
        list(
            iterate(settings.model_copy(update={"redis_url": None}), open_source(str(folder)), "x")
        )


async def test_an_error_of_the_source_ends_the_run(
    redis: Redis, settings: Settings, app: Celery
) -> None:
    """What is wrong with the source as a whole is raised, and the job stays unsealed."""
    source = DocumentSource("program", [Document(page_content="no id")])
    producer = Producer(redis, settings, source, "shelf")
    with pytest.raises(UsageError, match="needs an id"):
        await producer.run(app)
    job = await Jobs(redis, "shelf").get(producer.job)
    assert job is not None
    assert not job.sealed


async def test_a_guard_seals_the_job_and_says_why(
    tmp_path: Path, redis: Redis, settings: Settings, app: Celery
) -> None:
    """Everything else is published before the error."""
    folder = tmp_path / "docs"
    write_library(folder, 3, 300)
    await _producer(redis, settings, folder).run(app)
    for path in folder.rglob("*.md"):
        path.unlink()
    (folder / "new.md").write_text("new")
    producer = _producer(redis, settings, folder)
    with pytest.raises(GuardError, match="3 of the 3 documents"):
        await producer.run(app)
    job = await Jobs(redis, "shelf").get(producer.job)
    assert job is not None
    assert job.sealed
    assert "--allow-deletes" in job.trouble
    assert (job.count("documents_new"), job.count("documents_deleted")) == (1, 0)
    assert producer.tally.kept == 3
    assert producer.source_name == "docs"


async def test_a_cancelled_producer_ends_and_a_paused_one_waits(
    tmp_path: Path, redis: Redis, settings: Settings, app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that waits for room, which nobody makes any more, learns of it."""
    monkeypatch.setattr(pulse, "BEAT_SECONDS", 0.01)
    folder = tmp_path / "docs"
    write_library(folder, 3 * GROUP_DOCUMENTS, 300)
    tight = settings.model_copy(update={"max_unfinished_batches": 1, "batch_max_chunks": 16})
    control = JobControl(redis, "shelf")
    producer = _producer(redis, tight, folder)
    await producer.begin()
    await control.halt(producer.job, Halt.PAUSED)
    running = asyncio.create_task(producer.run(app))
    async with asyncio.timeout(20):
        while producer.tally.listed == 0:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert await _published(redis) == []
    await control.halt(producer.job, Halt.NONE)
    async with asyncio.timeout(20):
        while not await _published(redis):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
    await control.halt(producer.job, Halt.CANCELLED)
    with pytest.raises(CancelledJobError, match=producer.job):
        await asyncio.wait_for(running, 20)
    job = await Jobs(redis, "shelf").get(producer.job)
    assert job is not None
    assert not job.sealed
