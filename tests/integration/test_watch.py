"""Promises of ``headrace watch``, with embedded servers and real workers: at rest, as an import."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.conftest import Place
from tests.servers.command import Command, Ended, Running, until
from tests.servers.contents import chunks_of
from tests.servers.endpoint import FakeEndpoint
from tests.servers.library import prose, write_library

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

_SECONDS = 60.0


class Watched:
    """A folder, and the collection that is kept equal to it."""

    def __init__(self, place: Place, headrace: Command, name: str) -> None:
        """Write ten documents."""
        self.name = name
        self.folder = place.folder / name
        self.command = headrace.with_settings(collection=name)
        self._servers = place.servers
        write_library(self.folder, 9, 600)
        (self.folder / "bird.md").write_text("The kingfisher nests above the mill.")

    @contextmanager
    def running(self, *options: str) -> Iterator[Running]:
        """Watch it, from its first scan on."""
        with self.command.started("watch", self.folder, *options) as running:
            self.rests(running)
            yield running

    def rests(self, running: Running | None = None, seconds: float = _SECONDS) -> float:
        """Wait until the rows are those of a fresh import; gives the seconds."""
        begun = time.monotonic()
        trouble = ""

        def is_right() -> bool:
            nonlocal trouble
            if running is not None and not running.runs:
                raise AssertionError(f"it ended: {running.wait()}")
            try:
                self._servers.assert_holds(self.name, chunks_of(self.folder))
            except Exception as error:  # noqa: BLE001 - what Milvus says while there is nothing
                trouble = str(error)[:2_000]
                return False
            return True

        try:
            until(is_right, "the rows of an import", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {trouble}") from None
        return time.monotonic() - begun

    def stopped(self, running: Running) -> Ended:
        """Stop it once it has told that what it brought can be found."""
        until(lambda: running.said.count("; found after") >= 2, "it is told")
        running.send(signal.SIGINT)
        return running.wait()

    def assert_an_import_finds_nothing(self) -> None:
        """An import of the same folder changes nothing any more."""
        (summary,) = self.command.run("import", self.folder, "--json").expect(0).json
        assert (summary["new"], summary["changed"], summary["deleted"]) == (0, 0, 0)
        assert summary["unchanged"] == len(chunks_of(self.folder))


def test_every_change_is_found_within_seconds(
    place: Place, headrace: Command, endpoint: FakeEndpoint
) -> None:
    """Created, changed, saved as editors do, renamed, deleted; folders; many at once."""
    watched = Watched(place, headrace, "watched")
    folder = watched.folder
    with watched.running("--json") as running:
        (folder / "new.md").write_text(prose("new", 2_000))
        watched.rests(running)
        with (folder / "new.md").open("a") as file:
            file.write("\n\nOne sentence more.")
        watched.rests(running)
        (folder / ".bird.md.new").write_text("The kingfisher has moved to the lock.")
        (folder / ".bird.md.new").rename(folder / "bird.md")
        watched.rests(running)
        hits = watched.command.run("search", "kingfisher", "-k", "20", "--json").expect(0).json
        assert any("moved to the lock" in hit["text"] for hit in hits)
        embedded = endpoint.stats()["texts"]
        (folder / "new.md").rename(folder / "shelf-0" / "renamed.md")
        (folder / "shelf-1").rename(folder / "shelf-9")
        watched.rests(running)
        assert endpoint.stats()["texts"] == embedded, "what was moved is not embedded again"
        (folder / "bird.md").unlink()
        watched.rests(running)
        write_library(folder / "copied", 1_000, 300)
        watched.rests(running)
        jobs = watched.command.run("jobs", "list", "--json").expect(0).json
        (job,) = [job for job in jobs if job["source"] == watched.name]
        assert job["state"] == "watching"
        until(lambda: "1000 new" in running.said, "the copy is told of")
        ended = watched.stopped(running).expect(0)
    assert ended.json["up_to_date"]
    assert (ended.json["failed"], ended.json["kept"]) == (0, 0)
    assert 5 <= ended.json["rounds"] < 60
    watched.assert_an_import_finds_nothing()


def test_a_killed_watch_loses_nothing(place: Place, headrace: Command) -> None:
    """The next one's scan brings what nobody was told of, also what was half done."""
    watched = Watched(place, headrace, "killed_watch")
    with watched.running() as running:
        write_library(watched.folder / "more", 300, 600)
        ledger = place.servers.documents
        until(lambda: len(ledger(watched.name)) > 30, "some of it is promised", _SECONDS)
        running.kill()
        running.wait()
    (watched.folder / "bird.md").unlink()
    (watched.folder / "shelf-0" / "book-000.md").write_text("changed while nobody watched")
    with watched.running() as running:
        (watched.folder / "after.md").write_text("and it goes on")
        watched.rests(running)
    watched.assert_an_import_finds_nothing()


def test_a_folder_may_go_and_come_back(place: Place, headrace: Command) -> None:
    """While it is away nothing is deleted; what happened to it there is brought."""
    watched = Watched(place, headrace, "moving")
    away = watched.folder.with_name("moved-away")
    expected = chunks_of(watched.folder)
    with watched.running() as running:
        watched.folder.rename(away)
        until(lambda: "not there" in running.said, "it is told")
        assert "not there" in _troubles(watched)
        (away / "bird.md").write_text("It was ringed while it was away.")
        (away / "shelf-2" / "book-002.md").unlink()
        place.servers.assert_holds(watched.name, expected)
        away.rename(watched.folder)
        watched.rests(running)
        (watched.folder / "new.md").write_text("Now it is watched again.")
        watched.rests(running)
        until(lambda: "new.md: 1 new" in running.said, "the new one is told of")
        watched.stopped(running).expect(0)


def test_more_than_the_system_keeps_is_found(place: Place, headrace: Command) -> None:
    """The queue overflows while the process is stopped: what came after is not told of."""
    watched = Watched(place, headrace, "overflowing")
    busy = [watched.folder / "busy-1.log", watched.folder / "busy-2.log"]
    length = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with watched.running() as running:
        # Stopped before it has told of its start, it would tell of both at once.
        until(lambda: "; found after" in running.said, "it is told")
        running.send(signal.SIGSTOP)
        for number in range(length // 2 + 1_000):
            for path in busy:
                with path.open("a") as file:
                    file.write("x" if number else "busy ")
        (watched.folder / "late.md").write_text("No notice was kept of this.")
        (watched.folder / "bird.md").unlink()
        time.sleep(3.0)
        running.send(signal.SIGCONT)
        watched.rests(running)
        assert "looking at all of" in watched.stopped(running).expect(0).err


def test_a_guard_holds_what_goes_all_at_once(place: Place, headrace: Command) -> None:
    """The watch goes on, and tells; another one is told that it is meant."""
    watched = Watched(place, headrace, "guarded_watch")
    write_library(watched.folder / "more", 60, 300)
    with watched.running() as running:
        before = len(place.servers.committed(watched.name))
        shutil.rmtree(watched.folder / "more")
        (watched.folder / "new.md").write_text("It goes on.")
        found = watched.command.run
        until(
            lambda: any(
                hit["path"] == "new.md"
                for hit in found("search", "It goes on.", "-k", "1", "--json").json
            ),
            "the new one",
        )
        until(lambda: "--allow-deletes" in running.said, "the guard")
        assert "--allow-deletes" in _troubles(watched)
        assert len(place.servers.committed(watched.name)) > before - 15
    with watched.running("--allow-deletes"):
        pass
    watched.assert_an_import_finds_nothing()


def test_on_a_disk_of_which_nothing_is_told_it_looks(place: Place, headrace: Command) -> None:
    """``--poll``: the same at rest."""
    watched = Watched(place, headrace, "polled")
    with watched.running("--poll", "0.5") as running:
        (watched.folder / "new.md").write_text("Somebody else's machine wrote it.")
        (watched.folder / "shelf-1").rename(watched.folder / "shelf-8")
        (watched.folder / "bird.md").unlink()
        watched.rests(running)


def test_wrong_use_is_refused(place: Place, headrace: Command) -> None:
    """Before anything starts."""
    missing = headrace.run("watch", "not-there").expect(2)
    assert "name a file, a folder" in missing.err
    (place.folder / "some").mkdir(exist_ok=True)
    both = headrace.run("watch", "some", "--allow-deletes", "--no-delete").expect(2)
    assert "contradict" in both.err
    assert os.listdir(place.folder / "some") == []  # noqa: PTH208 - nothing was made


def _troubles(watched: Watched) -> str:
    jobs = watched.command.run("jobs", "list", "--json").expect(0).json
    return " ".join(job["trouble"] for job in jobs if job["source"] == watched.name)
