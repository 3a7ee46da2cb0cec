"""Promises of a vigil, with a real Redis and real notices: at rest all is as after an import."""

import asyncio
import shutil
import time

import pytest

from contract.errors import CancelledJobError
from contract.ledger.control import Halt, JobControl
from contract.ledger.jobs import JobState
from contract.ledger.records import Outcome
from contract.queue import make_app
from producers import pulse
from producers.deleting import Deletions
from producers.sources import regular_file
from producers.vigil import changes, notices, vigil
from tests.producers.vigil.tower import COLLECTION, Tower


async def test_what_comes_changes_moves_and_goes_is_brought(tower: Tower) -> None:
    """File by file; and nothing else is touched."""
    tower.write(a="the wheel", b="the weir", sub__c="the sluice")
    async with tower.watching():
        await tower.rests()
        tower.write(d="a new one", sub__e="and another")
        await tower.rests()
        tower.write(a="the wheel, mended")
        await tower.rests()
        (tower.folder / "b.md").rename(tower.folder / "sub" / "b.md")
        await tower.rests()
        (tower.folder / "sub" / "c.md").unlink()
        await tower.rests()
        job = await tower.job()
        assert job.state(job.seen_ms) is JobState.WATCHING
    assert (job.count("documents_new"), job.count("documents_changed")) == (6, 1)
    assert (job.count("documents_deleted"), job.count("documents_unchanged")) == (2, 0)
    sealed = await tower.job()
    assert sealed.state(sealed.seen_ms) is JobState.DONE


async def test_folders_come_move_and_go_whole(tower: Tower) -> None:
    """Their files are not named by the system when a folder is moved."""
    tower.write(**{f"one__x{n}": f"text {n}" for n in range(12)}, other="stays")
    async with tower.watching():
        await tower.rests()
        (tower.folder / "one").rename(tower.folder / "two")
        await tower.rests()
        (tower.folder / "two").rename(tower.folder.parent / "elsewhere")
        tower.write(**{f"instead{n}": f"other text {n}" for n in range(12)})
        await tower.rests()
        (tower.folder.parent / "elsewhere").rename(tower.folder / "three")
        await tower.rests()
        tower.write(three__y="made in a folder that came as a whole")
        await tower.rests()
        shutil.rmtree(tower.folder / "three", ignore_errors=True)
        tower.write(**{f"again{n}": f"more {n}" for n in range(12)})
        await tower.rests()
    assert tower.said == []


async def test_a_touch_and_what_editors_leave_cost_nothing(tower: Tower) -> None:
    """Unchanged content, hidden files, and names that no parser knows."""
    tower.write(a="the wheel")
    async with tower.watching() as watch:
        await tower.rests()
        for name in (".a.md.swp", "a.md~", "#a.md#", "a.md.tmp"):
            (tower.folder / name).write_text("half of it")
        (tower.folder / "a.md").touch()
        before = watch.tally.outcomes[Outcome.UNCHANGED]
        await tower.until(lambda: watch.tally.outcomes[Outcome.UNCHANGED] > before, "the touch")
        saved = tower.folder / ".a.md.new"
        saved.write_text("the wheel, mended")
        saved.rename(tower.folder / "a.md")
        await tower.rests()
    assert [item.keys for item in tower.brought] == [(), ("a.md",)]
    assert (watch.tally.skipped, watch.tally.failed) == (0, 0)


async def test_texts_that_go_out_of_a_file_are_deleted(tower: Tower) -> None:
    """Emptied, blank, replaced by a folder of its name."""
    tower.write(a="the wheel", b="the weir", c="the sluice", d="stays")
    async with tower.watching():
        await tower.rests()
        tower.write(a="", b="  \n")
        (tower.folder / "c.md").unlink()
        tower.write(**{"c.md__deep": "in a folder with the name of a file"})
        await tower.rests()


async def test_nothing_is_lost_while_the_first_scan_runs(tower: Tower) -> None:
    """The folder is watched before it is listed, and rounds do not wait for the scan."""
    tower.write(**{f"x{n:03}": f"text {n}" for n in range(400)})

    async def others() -> None:
        await tower.until(lambda: tower.vigil is not None and bool(tower.vigil.job), "the vigil")
        watch = tower.vigil
        assert watch is not None
        await tower.until(lambda: watch.tally.listed > 0, "the scan")
        tower.write(fresh="it came meanwhile", x399="changed meanwhile")
        (tower.folder / "x000.md").unlink()
        # Scan and round stand at the high-water mark: a little room is enough for the round.
        while not any(item.keys for item in tower.brought):
            await tower.worker.step()
            await asyncio.sleep(0.05)
        assert not any(not item.keys for item in tower.brought), "the scan is not through"
        while not any(not item.keys for item in tower.brought):
            await tower.worker.drain()
            await asyncio.sleep(0.01)

    helping = asyncio.create_task(others())
    async with tower.watching(max_unfinished_batches=4, batch_max_chunks=16, live_batches=0):
        await tower.until(helping.done, "the others")
        helping.result()
        await tower.rests()


async def test_many_at_once_are_few_rounds(tower: Tower) -> None:
    """A copy of 600 files; and of so many that they are not counted, a scan."""
    tower.write(a="the wheel")
    async with tower.watching():
        await tower.rests()
        tower.write(**{f"copy__x{n:03}": f"text {n}" for n in range(600)})
        await tower.rests()
    rounds = [item for item in tower.brought if item.keys]
    assert 1 <= len(rounds) < 30


async def test_more_than_can_be_remembered_is_a_scan(
    tower: Tower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is given up, and everything is looked at."""
    monkeypatch.setattr(vigil, "MOST_CHANGES", 20)
    async with tower.watching():
        tower.write(**{f"x{n:03}": f"text {n}" for n in range(100)})
        await tower.rests()
    assert any("more than 20 changes at once" in line for line in tower.said)


async def test_a_full_queue_and_a_standstill_are_followed_by_a_scan(
    tower: Tower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the system dropped is found all the same."""
    notes: list[object] = []
    monkeypatch.setattr(changes.Changes, "note", lambda _, *what: notes.append(what))
    async with tower.watching():
        tower.write(lost="nobody heard of it")
        await tower.until(lambda: bool(notes), "the notice that is lost")
        monkeypatch.setattr(notices, "_queue_bytes", lambda: 0)
        await tower.rests()
        monkeypatch.undo()
        assert any("more changes at once" in line for line in tower.said)
        monkeypatch.setattr(changes.Changes, "note", lambda _, *what: notes.append(what))
        monkeypatch.setattr(vigil, "STALL_SECONDS", 0.3)
        notes.clear()
        tower.write(lost="changed while nobody listened")
        await tower.until(lambda: bool(notes), "the notice that is lost")
        time.sleep(1.0)  # noqa: ASYNC251 - it stands still
        await tower.rests()
        assert any("stood still" in line for line in tower.said)


async def test_a_folder_that_is_away_deletes_nothing(tower: Tower) -> None:
    """It is waited for, and watched again when it is back, also when it is another one."""
    tower.write(**{f"x{n:02}": f"text {n}" for n in range(30)})
    away = tower.folder.parent / "away"
    async with tower.watching():
        await tower.rests()
        before = tower.rows()
        tower.folder.rename(away)
        await tower.until(lambda: any("not there" in line for line in tower.said), "the line")
        await tower.worker.drain()
        assert tower.rows() == before
        assert "not there" in (await tower.job()).trouble
        (away / "x00.md").write_text("changed while it was away")
        (away / "x01.md").unlink()
        away.rename(tower.folder)
        await tower.rests()
        assert (await tower.job()).trouble == ""
        tower.write(x02="changed when it was back")
        await tower.rests()
        tower.folder.rename(away)
        shutil.copytree(away, tower.folder)
        tower.write(x03="in another folder of the same name")
        await tower.rests()
        tower.write(x04="and again")
        await tower.rests()


async def test_too_many_losses_are_held_back(tower: Tower) -> None:
    """Also when they come piece by piece; what is renamed is no loss, nor are a few."""
    tower.write(**{f"old__x{n:02}": f"text {n}" for n in range(40)})
    async with tower.watching() as watch:
        await tower.rests()
        (tower.folder / "old").rename(tower.folder / "new")
        await tower.rests()
        assert tower.said == []
        for n in range(0, 10, 2):
            (tower.folder / "new" / f"x{n:02}.md").unlink()
        await tower.rests()
        before = tower.rows()
        shutil.rmtree(tower.folder / "new")
        tower.write(fresh="goes on")
        await tower.until(lambda: any("--allow-deletes" in line for line in tower.said), "a guard")
        await tower.until(lambda: watch.is_caught_up, "rest")
        await tower.worker.drain()
        assert ["goes on"] in tower.rows().values()
        lost = set(before) - set(tower.rows())
        assert len(lost) <= 10, "a few may have gone before they were many"
        job = await tower.job()
        assert "--allow-deletes" in job.trouble


async def test_allowed_and_unwanted_deletions(tower: Tower) -> None:
    """As an import does it."""
    tower.write(**{f"old__x{n:02}": f"text {n}" for n in range(40)}, stays="it stays")
    async with tower.watching(Deletions.NEVER):
        await tower.rests()
        before = tower.rows()
        (tower.folder / "old" / "x00.md").unlink()
        await tower.until(lambda: any(item.tally.kept for item in tower.brought), "the round")
        await tower.worker.drain()
        assert tower.rows() == before
    tower.brought.clear()
    async with tower.watching(Deletions.ALLOWED):
        shutil.rmtree(tower.folder / "old")
        await tower.rests()


async def test_a_file_that_never_rests_is_no_dead_letter(
    tower: Tower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read again after a while, without another notice."""
    restless = {"times": 3}
    real = regular_file._look

    def look(path: str) -> regular_file._State:
        state = real(path)
        if path.endswith("log.md") and restless["times"]:
            restless["times"] -= 1
            return regular_file._State(0, 0, state.size_bytes, restless["times"])
        return state

    monkeypatch.setattr(regular_file, "_look", look)
    async with tower.watching() as watch:
        tower.write(log="written to all the time")
        await tower.rests()
        assert restless["times"] == 0
        assert watch.tally.failed == 0
    assert [letter async for letter in tower.ledger.letters.scan()] == []


async def test_what_can_not_be_read_is_a_dead_letter_until_it_can(tower: Tower) -> None:
    """As in an import; it is mended by the file's next change, and goes with the file."""
    async with tower.watching() as watch:
        for name in ("broken.md", "gone.md"):
            (tower.folder / name).write_bytes(b"\xef\xbb\xbf\xff")
        await tower.until(lambda: watch.tally.failed == 2, "the failures")
        await tower.until(lambda: watch.is_caught_up, "rest")
        assert len([letter async for letter in tower.ledger.letters.scan()]) == 2
        tower.write(broken="mended")
        (tower.folder / "gone.md").unlink()

        async def no_letters() -> bool:
            await tower.worker.drain()
            return not [letter async for letter in tower.ledger.letters.scan()]

        await tower.until_so(no_letters, "no letters")
        await tower.rests()


async def test_the_rules_of_a_listing_hold(tower: Tower) -> None:
    """Globs, hidden folders, links to files and folders, and folders with two names."""
    tower.write(a="the wheel", real__b="behind a folder")
    (tower.folder / "link").symlink_to(tower.folder / "real", target_is_directory=True)
    async with tower.watching():
        await tower.rests()
        tower.write(real__b="changed, and so it is under its other name")
        await tower.rests()
        tower.write(**{".hidden__x": "not listed", "real__.y": "nor this"})
        (tower.folder / "alias.md").symlink_to(tower.folder / "a.md")
        tower.write(link__c="made by its other name")
        await tower.rests()
        (tower.folder / "link").unlink()
        await tower.rests()
    tower.brought.clear()
    only = tower.folder.parent / "globbed" / "docs"
    (only / "in").mkdir(parents=True)
    (only / "in" / "one.md").write_text("it matches")
    tower.worker.rows.clear()
    await tower.redis.flushdb()
    async with tower.watching(path=str(only), glob="in/*.md"):
        (only / "in" / "two.md").write_text("it matches")
        (only / "three.md").write_text("it does not")
        await tower.until(lambda: len(tower.brought) > 1, "the round")
        (only / "three.md").rename(only / "in" / "three.md")
        await tower.rests(folder=only)
        (only / "in" / "one.md").rename(only / "four.md")

        async def two() -> bool:
            await tower.worker.drain()
            return len(tower.rows()) == 3

        await tower.until_so(two, "a document that the glob leaves out stays, as in an import")


async def test_one_file_alone_is_watched(tower: Tower) -> None:
    """Its neighbours are nobody's business."""
    tower.write(a="the wheel", b="the weir")
    async with tower.watching(path=str(tower.folder / "a.md")) as watch:
        tower.write(b="changed", a="the wheel, mended")

        async def changed() -> bool:
            await tower.worker.drain()
            return list(tower.rows().values()) == [["the wheel, mended"]]

        await tower.until_so(changed, "the change")
        assert watch.tally.outcomes[Outcome.NEW] == 1


async def test_looks_find_what_the_system_does_not_tell(tower: Tower) -> None:
    """Polling, asked for, or because the system can't watch; links and odd names included."""
    tower.write(a="the wheel", sub__b="the weir")
    async with tower.watching(watch_poll_seconds=0.1):
        await tower.rests()
        tower.write(a="the wheel, mended", sub__c="new")
        (tower.folder / "sub" / "b.md").unlink()
        tower.write_latin()
        await tower.rests()
        (tower.folder / "sub").rename(tower.folder / "bus")
        await tower.rests()
    assert tower.said == []


async def test_where_the_system_can_not_watch_it_is_looked(
    tower: Tower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit on watches is reached: a person hears how to raise it, and nothing is lost."""
    monkeypatch.setattr(vigil, "FALLBACK_POLL_SECONDS", 0.1)

    def refuse(*_: object) -> None:
        raise OSError("OS file watch limit reached.")

    with monkeypatch.context() as patched:
        patched.setattr(vigil, "SystemNotices", refuse)
        async with tower.watching():
            tower.write(a="the wheel")
            await tower.rests()
    assert any("max_user_watches" in line for line in tower.said)


async def test_a_name_that_the_system_can_not_tell_ends_in_looks(
    tower: Tower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is not UTF-8: watchfiles gives up, the vigil does not."""
    monkeypatch.setattr(vigil, "FALLBACK_POLL_SECONDS", 0.1)
    async with tower.watching():
        tower.write_latin()
        await tower.rests()
        tower.write(a="the wheel")
        await tower.rests()
    assert any("UTF-8" in line for line in tower.said)


async def test_it_looks_at_everything_now_and_then(
    tower: Tower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody told of, as on a network disk, is found."""
    monkeypatch.setattr(changes.Changes, "note", lambda *_: None)
    async with tower.watching(watch_rescan_seconds=0.5):
        tower.write(a="the wheel")
        await tower.rests()


async def test_a_cancelled_job_ends_it(tower: Tower, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it ends an import."""
    monkeypatch.setattr(pulse, "BEAT_SECONDS", 0.05)
    with make_app(tower.settings) as app:
        tower.write(a="the wheel")
        async with tower.watching() as watch:
            pass
        other = vigil.Vigil(
            tower.redis, tower.settings, watch._files, COLLECTION,
            deletions=Deletions.GUARDED, say=tower.said.append, on_brought=tower.brought.append,
        )  # fmt: skip
        await other.begin()
        running = asyncio.create_task(other.run(app))
        await JobControl(tower.redis, COLLECTION).halt(other.job, Halt.CANCELLED)
        with pytest.raises(CancelledJobError, match=other.job):
            await asyncio.wait_for(running, 20)


async def test_live_whatever_else_is_brought(tower: Tower) -> None:
    """Rounds go ahead of bulk; the first scan goes as an import does."""
    tower.write(**{f"x{n:02}": f"text {n}" for n in range(20)})
    async with tower.watching(lane="bulk"):
        await tower.rests()
        tower.write(a="the wheel")
        await tower.until(lambda: len(tower.brought) > 1, "the round")
        (batch_id,) = await tower.redis.zrange(tower.ledger.keys.waiting, 0, -1)
        assert isinstance(batch_id, bytes)
        lane = await tower.redis.hget(tower.ledger.keys.batch(batch_id.decode()), "lane")
        assert lane == b"live"
