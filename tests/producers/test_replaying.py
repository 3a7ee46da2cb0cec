"""Promises of a replay, with a real Redis and a worker that keeps the rows itself."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery
from redis.asyncio import Redis

from contract.errors import CancelledJobError
from contract.ids import document_id
from contract.ledger.control import Halt, JobControl
from contract.ledger.jobs import Jobs
from contract.ledger.records import DeadLetter
from contract.queue import make_app
from contract.settings import Settings
from producers.producer import Producer
from producers.replaying import Replay
from producers.sources.chosen_files import ChosenFiles
from producers.sources.files import open_source
from tests.producers.simple_worker import SimpleWorker

POISON = "arsenic"


def _all(_letter: DeadLetter) -> bool:
    return True


class Stage:
    """A folder, a collection and a worker that refuses poison."""

    def __init__(self, folder: Path, redis: Redis, settings: Settings, app: Celery) -> None:
        """Begin with an empty folder."""
        self.folder = folder
        self.redis = redis
        self.settings = settings.model_copy(
            update={"chunk_size": 60, "chunk_overlap": 0, "chunk_unit": "characters"}
        )
        self.app = app
        self.worker = SimpleWorker(redis, "books", POISON)
        self.jobs = Jobs(redis, "books")
        folder.mkdir()

    def write(self, name: str, *paragraphs: str) -> None:
        """Write a document whose paragraphs become chunks."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n\n".join(paragraph.ljust(50, ".") for paragraph in paragraphs))

    async def bring(self) -> None:
        """Import the folder."""
        source = open_source(str(self.folder))
        await Producer(self.redis, self.settings, source, "books").run(self.app)
        await self.worker.drain()

    def replay(self, *, accept: bool = False, picks: Callable[[DeadLetter], bool] = _all) -> Replay:
        """Prepare a replay of the folder's letters."""
        files = ChosenFiles("docs", str(self.folder))
        return Replay(self.redis, self.settings, "books", files, picks, accept=accept)

    async def replayed(self, *, accept: bool = False) -> Replay:
        """Replay to the end."""
        replay = self.replay(accept=accept)
        await replay.run(self.app)
        await self.worker.drain()
        return replay

    async def letters(self) -> list[DeadLetter]:
        """Give all letters."""
        return [letter async for letter in self.worker.ledger.letters.scan()]

    def texts(self) -> Counter[str]:
        """Count the texts of all rows, by their first word."""
        return Counter(text.split(".")[0] for text in self.worker.rows.values())


@pytest.fixture
def stage(tmp_path: Path, redis: Redis, settings: Settings) -> Iterator[Stage]:
    """Give a stage with two documents, one of which is poisoned in its middle."""
    app = make_app(settings)
    stage = Stage(tmp_path / "docs", redis, settings, app)
    stage.write("good.txt", "one", "two")
    stage.write("bad.txt", "three", POISON, "four")
    yield stage
    app.close()


async def test_mended_it_comes_in_once_and_the_letter_goes(stage: Stage) -> None:
    """After a replay all chunks are there, and a second replay finds nothing."""
    await stage.bring()
    assert stage.texts() == {"one": 1, "two": 1}
    stage.worker.poison = None
    replay = await stage.replayed()
    assert stage.texts() == Counter(["one", "two", "three", POISON, "four"])
    assert await stage.letters() == []
    job = await stage.jobs.get(replay.job)
    assert job is not None
    assert (job.sealed, job.drained, job.documents_settled) == (True, True, 1)
    assert (replay.tally.promised, replay.refused, replay.outdated) == (1, 0, 0)
    rows = dict(stage.worker.rows)
    again = await stage.replayed()
    assert (again.tally.promised, stage.worker.rows) == (0, rows)


async def test_what_fails_again_keeps_a_letter_and_is_tried_once(stage: Stage) -> None:
    """Nothing is mended: one letter, of the replay's job, and no rows of it."""
    await stage.bring()
    replay = await stage.replayed()
    (letter,) = await stage.letters()
    assert letter.job == replay.job
    assert [again async for again in replay._letters()] == []
    assert replay.tally.promised == 1
    assert stage.texts() == {"one": 1, "two": 1}


async def test_two_replays_at_once_have_one_effect(stage: Stage) -> None:
    """Whoever comes second takes over or waits; each chunk is there once."""
    for number in range(20):
        stage.write(f"bad-{number}.txt", f"five{number}", POISON)
    await stage.bring()
    stage.worker.poison = None
    replays = [stage.replay() for _ in range(2)]
    over = asyncio.Event()
    working = asyncio.create_task(_keep_draining(stage.worker, over))
    await asyncio.gather(*(replay.run(stage.app) for replay in replays))
    over.set()
    await working
    await stage.worker.drain()
    assert await stage.letters() == []
    texts = stage.texts()
    assert texts.pop(POISON) == 21
    assert set(texts.values()) == {1}
    for replay in replays:
        job = await stage.jobs.get(replay.job)
        assert job is not None
        assert job.documents_settled == replay.tally.promised


async def _keep_draining(worker: SimpleWorker, over: asyncio.Event) -> None:
    while not over.is_set():
        await worker.drain()
        await asyncio.sleep(0)


async def test_killed_after_its_promise_it_can_be_repeated(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay that dies between promise and publication leaves the letter for the next."""
    await stage.bring()
    stage.worker.poison = None
    replay = stage.replay()

    async def die(_batches: object) -> list[str]:
        raise ConnectionAbortedError

    monkeypatch.setattr(replay._ledger, "publish", die)
    with pytest.raises(ConnectionAbortedError):
        await replay.run(stage.app)
    await stage.worker.drain()
    assert len(await stage.letters()) == 1
    await stage.replayed()
    assert await stage.letters() == []
    assert stage.texts() == Counter(["one", "two", "three", POISON, "four"])


async def test_content_that_changed_meanwhile_is_not_brought_back(stage: Stage) -> None:
    """The letter of an older content does nothing, and goes once something better is underway."""
    await stage.bring()
    (letter,) = await stage.letters()
    stage.write("bad.txt", "mended")
    source = open_source(str(stage.folder))
    await Producer(stage.redis, stage.settings, source, "books").run(stage.app)
    replay = await stage.replayed()
    assert (replay.outdated, replay.tally.promised, replay.refused) == (1, 0, 0)
    assert stage.texts() == {"one": 1, "two": 1, "mended": 1}
    assert await stage.letters() == []
    await stage.worker.ledger.letters.bury([letter])
    assert await stage.letters() == []


async def test_an_old_letter_of_a_cancelled_change_stays(stage: Stage) -> None:
    """What came after it was given up: nothing is underway, so the letter is all there is."""
    await stage.bring()
    stage.write("bad.txt", "mended")
    source = open_source(str(stage.folder))
    producer = Producer(stage.redis, stage.settings, source, "books")
    await producer.run(stage.app)
    control = JobControl(stage.redis, "books")
    await control.halt(producer.job, Halt.CANCELLED)
    bad = document_id("docs", b"bad.txt")
    await control.abandon(producer.job, [bad])
    await control.abandoned(producer.job, [bad])
    replay = await stage.replayed()
    assert (replay.outdated, replay.refused) == (0, 1)
    assert "import the source again" in replay.refusals[0].message
    assert len(await stage.letters()) == 1


async def test_a_cancelled_replay_forgets_nothing(stage: Stage) -> None:
    """Of a cancelled job everything is outdated; the letters stay all the same."""
    await stage.bring()
    letters = await stage.letters()
    killed = stage.replay()
    await killed.begin()
    assert await killed._promise(letters)  # so that nothing says that the content was given up
    replay = stage.replay()
    await replay.begin()
    await JobControl(stage.redis, "books").halt(replay.job, Halt.CANCELLED)
    with pytest.raises(CancelledJobError):
        await replay._promise(letters)
    with pytest.raises(CancelledJobError):
        await replay.run(stage.app)
    assert await stage.letters() == letters


async def test_the_version_before_stays_until_the_replay_is_through(stage: Stage) -> None:
    """A poisoned change leaves the old rows alone; replayed, it takes their place."""
    stage.write("bad.txt", "old")
    await stage.bring()
    stage.write("bad.txt", "new", POISON)
    await stage.bring()
    assert stage.texts()["old"] == 1
    stage.worker.poison = None
    await stage.replayed()
    assert stage.texts() == Counter(["one", "two", "new", POISON])


async def test_accepted_without_the_dead_chunk(stage: Stage) -> None:
    """The others come in without a gap; the document is partial, and then unchanged."""
    await stage.bring()
    replay = await stage.replayed(accept=True)
    assert replay.refused == 0
    assert stage.texts() == Counter(["one", "two", "three", "four"])
    bad = document_id("docs", b"bad.txt")
    ordinals = {int(row.rpartition(":")[2]) for row in stage.worker.rows if row.startswith(bad)}
    assert ordinals == {0, 1}
    fields = await stage.redis.hmget(
        stage.worker.ledger.keys.document(bad), ["missing", "committed_count"]
    )
    assert fields == [b"1", b"2"]
    assert await stage.letters() == []
    rows = dict(stage.worker.rows)
    await stage.bring()
    assert stage.worker.rows == rows


async def test_of_a_document_that_is_all_dead_nothing_can_be_accepted(stage: Stage) -> None:
    """It is named, and its letter stays."""
    stage.write("bad.txt", POISON)
    await stage.bring()
    replay = await stage.replayed(accept=True)
    assert (replay.refused, replay.tally.promised) == (1, 0)
    assert "all its chunks are dead" in replay.refusals[0].message
    assert len(await stage.letters()) == 1


async def test_a_letter_without_chunks_is_read_from_its_source_again(stage: Stage) -> None:
    """An undecodable file is replayed once it is mended; others of the folder are left alone."""
    broken = stage.folder / "sub" / "broken.md"
    broken.parent.mkdir()
    broken.write_bytes(b"\xef\xbb\xbfmarked as UTF-8: \xff")
    await stage.bring()
    first = await stage.replayed()
    assert first.tally.failed == 1
    assert {letter.key for letter in await stage.letters()} == {"bad.txt", "sub/broken.md"}
    broken.write_text("mended")
    stage.write("good.txt", "not yet")
    stage.worker.poison = None
    replay = await stage.replayed()
    assert (replay.tally.failed, replay.tally.promised) == (0, 2)
    assert await stage.letters() == []
    assert stage.texts() == Counter(["one", "two", "three", POISON, "four", "mended"])
    (found,) = [row for row in stage.worker.rows if "mended" in stage.worker.rows[row]]
    assert found.startswith(document_id("docs", b"sub/broken.md"))


async def test_a_file_that_can_be_read_again_with_what_it_had_before(stage: Stage) -> None:
    """Nothing is committed that would take its letter away, so the replay does."""
    await stage.bring()
    good = stage.folder / "good.txt"
    text = good.read_bytes()
    good.write_bytes(b"\xef\xbb\xbf\xff")
    await stage.bring()
    good.write_bytes(text)
    replay = await stage.replayed()
    assert replay.refused == 0
    assert {letter.key for letter in await stage.letters()} == {"bad.txt"}


async def test_a_letter_too_large_to_hold_its_chunks(stage: Stage) -> None:
    """It is read from its source again, and has the same effect; accepted it can't be."""
    stage.worker.keeps_payload = False
    await stage.bring()
    refused = await stage.replayed(accept=True)
    assert (refused.refused, refused.tally.promised) == (1, 0)
    stage.worker.poison = None
    await stage.replayed()
    assert await stage.letters() == []
    assert stage.texts() == Counter(["one", "two", "three", POISON, "four"])


async def test_without_its_folder_it_says_what_to_do(stage: Stage) -> None:
    """A source that is not there is no reason to forget anything."""
    (stage.folder / "broken.md").write_bytes(b"\xef\xbb\xbf\xff")
    await stage.bring()
    stage.folder.rename(stage.folder.with_name("elsewhere"))
    replay = await stage.replayed()
    assert replay.refused == 1
    assert replay.refusals[0].key == "broken.md"
    assert "import the source again" in replay.refusals[0].message
    assert "broken.md" in {letter.key for letter in await stage.letters()}


async def test_only_what_is_meant(stage: Stage) -> None:
    """Letters that the filter leaves out stay as they are."""
    stage.write("worse.txt", POISON)
    await stage.bring()
    stage.worker.poison = None
    replay = stage.replay(picks=lambda letter: letter.key == "worse.txt")
    await replay.run(stage.app)
    await stage.worker.drain()
    assert {letter.key for letter in await stage.letters()} == {"bad.txt"}
