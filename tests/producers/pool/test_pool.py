"""Promises of the pool, with real processes."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from contract.errors import TransientError
from producers.document import Omission, Reason
from producers.drafting import Draft, Drafter, Recipe
from producers.pool.desk import Drafted
from producers.pool.pool import Pool
from producers.sources.documents import DocumentSource
from producers.sources.files import FileSource
from tests.producers.pool.deeds import OPTIONS, BoundDeeds, BugError, Deeds, assignments

ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 30.0


def _recipe(source: Deeds) -> Recipe:
    return Drafter(source, OPTIONS).recipe


def _processes() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if any("pool.process" in a for a in child.cmdline())
    ]


async def _up(busy: Pool, source: Deeds) -> None:
    """Have documents drafted until a process does it."""
    work = assignments(source)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while _pids(await busy.draft(work)) == {os.getpid()}:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # a process that begins needs a turn


def _pids(drafted: Drafted) -> set[object]:
    return {item.part.metadata["pid"] for item in drafted if isinstance(item, Draft)}


async def _until_gone(pids: Sequence[int]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while any(psutil.pid_exists(pid) for pid in pids):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_little_starts_no_process() -> None:
    """What is done in a moment is done in a thread here."""
    source = Deeds("one", "two")
    async with Pool(_recipe(source), 2, busy_seconds=60) as idle:
        for _ in range(3):
            assert _pids(await idle.draft(assignments(source))) == {os.getpid()}
            assert not _processes()


async def test_processes_give_what_the_thread_gives() -> None:
    """Once a thread was busy for a while, processes go on: the same drafts in the same order."""
    source = Deeds("a text that is cut in several pieces", "", "two " * 50)
    work = assignments(source)
    async with Pool(_recipe(source), 2, busy_seconds=0) as busy:
        here = await busy.draft(work)
        await _up(busy, source)
        there = await busy.draft(work)
        assert _pids(there).isdisjoint({os.getpid()})
        assert len(_processes()) == 2
    for mine, its in zip(here, there, strict=True):
        assert isinstance(mine, Draft)
        assert isinstance(its, Draft)
        assert (mine.entry, mine.part.chunks) == (its.entry, its.part.chunks)
        assert mine.part.content_hash == its.part.content_hash
    assert not _processes(), "none outlives the pool"


@pytest.mark.parametrize("source", [BoundDeeds("one"), Deeds("one")])
async def test_what_no_other_process_can_have_stays_here(
    source: Deeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parse that belongs to an object, or to the program's main module, runs in a thread."""
    if type(source) is Deeds:
        monkeypatch.setattr(Deeds.parse, "__module__", "__main__")
        monkeypatch.setattr(sys.modules["__main__"], "Deeds", Deeds, raising=False)
    async with Pool(_recipe(source), 2, busy_seconds=0) as here:
        assert here.processes == 1
        for _ in range(3):
            assert _pids(await here.draft(assignments(source))) == {os.getpid()}
        assert not _processes()


def test_sources_of_ours_are_for_all_processes() -> None:
    """Files and documents of a program are parsed in the pool, without the source itself."""
    for source in (FileSource("files", "/"), DocumentSource("program", [])):
        assert Pool(Drafter(source, OPTIONS).recipe, 2).processes == 2


async def test_a_document_that_ends_processes_is_left_out_alone() -> None:
    """Killed twice over it, the pool goes on with the others."""
    source = Deeds("one", "die", "two")
    async with Pool(_recipe(source), 1 + 1, busy_seconds=0) as busy:
        await _up(busy, Deeds("warm"))
        first, dead, last = await busy.draft(assignments(source))
    assert isinstance(first, Draft)
    assert isinstance(last, Draft)
    assert isinstance(dead, Omission)
    assert (dead.key, dead.reason, dead.failed) == ("1", Reason.DEADLY, True)
    assert "Killed" in dead.message


async def test_a_process_that_is_killed_once_loses_nothing(tmp_path: Path) -> None:
    """The document that it had in hand is drafted by the next one."""
    source = Deeds("one", f"die-once {tmp_path / 'mark'}", "two")
    async with Pool(_recipe(source), 2, busy_seconds=0) as busy:
        await _up(busy, Deeds("warm"))
        drafted = await busy.draft(assignments(source))
    assert all(isinstance(item, Draft) for item in drafted)
    assert (tmp_path / "mark").exists()


async def test_idle_processes_that_are_killed_are_replaced() -> None:
    """Nothing is in hand, nobody is to blame."""
    source = Deeds("one", "two")
    async with Pool(_recipe(source), 2, busy_seconds=0) as busy:
        await _up(busy, source)
        killed = [process.pid for process in _processes()]
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        drafted = await busy.draft(assignments(source))
        assert _pids(drafted).isdisjoint({os.getpid(), *killed})
        assert len(drafted) == 2


async def test_a_document_that_hangs_is_left_out() -> None:
    """Also one that never lets go of the interpreter; the kernel ends it."""
    source = Deeds("one", "hang", "two")
    async with Pool(_recipe(source), 2, busy_seconds=0, limit_seconds=2) as busy:
        await _up(busy, Deeds("warm"))
        first, hung, last = await busy.draft(assignments(source))
    assert isinstance(first, Draft)
    assert isinstance(last, Draft)
    assert isinstance(hung, Omission)
    assert hung.reason == Reason.TOO_SLOW


async def test_a_bug_is_raised_where_the_work_was_given() -> None:
    """What a parser must not raise comes out as it is; the pool goes on."""
    source = Deeds("bug")
    async with Pool(_recipe(source), 2, busy_seconds=0) as busy:
        await _up(busy, Deeds("warm"))
        with pytest.raises(BugError, match="bug"):
            await busy.draft(assignments(source))
        assert len(await busy.draft(assignments(Deeds("one")))) == 1


async def test_a_cancelled_pool_ends_processes_at_once(tmp_path: Path) -> None:
    """Whatever they have in hand."""
    mark = tmp_path / "pid"

    async def work() -> None:
        async with Pool(_recipe(Deeds()), 2, busy_seconds=0) as busy:
            await _up(busy, Deeds("warm"))
            await busy.draft(assignments(Deeds(f"linger {mark}")))

    working = asyncio.create_task(work())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not mark.exists() or not mark.read_text():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    working.cancel()
    await asyncio.wait([working])
    assert working.cancelled()
    assert not psutil.pid_exists(int(mark.read_text()))
    assert not _processes()


async def test_where_no_process_starts_the_thread_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that would do without a pool does not fail for one."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    source = Deeds("one")
    async with Pool(_recipe(source), 2, busy_seconds=0) as here:
        for _ in range(5):
            assert _pids(await here.draft(assignments(source))) == {os.getpid()}


async def test_a_process_that_can_not_be_replaced_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What may have killed it is not tried in this process."""
    async with Pool(_recipe(Deeds()), 2, busy_seconds=0) as busy:
        await _up(busy, Deeds("warm"))
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(TransientError, match="PRODUCER_PROCESSES"):
            await busy.draft(assignments(Deeds(f"die-once {tmp_path / 'mark'}")))


_PRODUCER = """
import asyncio, signal, sys
# A shell that began the tests in the background has it ignored, and so have its children.
signal.signal(signal.SIGINT, signal.default_int_handler)
from producers.drafting import Drafter
from producers.pool.pool import Pool
from tests.producers.pool.deeds import OPTIONS, Deeds, assignments
async def main():
    async with Pool(Drafter(Deeds(), OPTIONS).recipe, 2, busy_seconds=0) as pool:
        await pool.draft(assignments(Deeds("warm")))
        while not pool._is_up:
            await asyncio.sleep(0.01)
        await pool.draft(assignments(Deeds("linger " + sys.argv[1])))
asyncio.run(main())
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
async def test_processes_end_with_their_producer(tmp_path: Path, sent: signal.Signals) -> None:
    """Killed, or stopped by a Ctrl-C, it leaves none behind, idle or busy."""
    mark = tmp_path / "pid"
    producer = subprocess.Popen(  # noqa: ASYNC220 - does not block
        [sys.executable, "-c", _PRODUCER, str(mark)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not mark.exists() or not mark.read_text():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            while len(children := psutil.Process(producer.pid).children()) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        producer.send_signal(sent)
        producer.wait(PATIENCE_SECONDS)
        await _until_gone([child.pid for child in children])
    finally:
        producer.kill()
        producer.wait()
