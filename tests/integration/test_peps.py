"""Promises of an import of real documents: the Python Enhancement Proposals of August 2025."""

import os
import random
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Place
from tests.servers.command import Command, Running, until
from tests.servers.contents import chunks_of
from tests.servers.endpoint import FakeEndpoint

pytestmark = [pytest.mark.corpus, pytest.mark.slow, pytest.mark.timeout(600)]

_FATES = ("new", "changed", "unchanged", "resumed", "skipped", "failed")
_KILLS = 3


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Give the folder of the corpus, read before a test's own fixture hides the variable."""
    folder = os.environ.get("TEST_CORPUS")
    if not folder:
        pytest.skip("TEST_CORPUS names no folder")
    return Path(folder)


def _accounted(summary: Mapping[str, Any]) -> int:
    return sum(int(summary[fate]) for fate in _FATES)


def _files(corpus: Path) -> int:
    return sum(path.is_file() for path in corpus.rglob("*") if not path.name.startswith("."))


def test_all_peps_are_there_once(
    corpus: Path, place: Place, headrace: Command, endpoint: FakeEndpoint
) -> None:
    """Every file is accounted for, every chunk is there once, and a second run does nothing."""
    command = headrace.with_settings(collection="peps")
    (summary,) = command.run("import", corpus, "--json", seconds=300).expect(0).json
    assert _accounted(summary) == _files(corpus)
    assert summary["failed"] == 0
    expected = chunks_of(corpus)
    assert summary["new"] == len(expected)
    assert summary["chunks"] == sum(expected.values())
    place.servers.assert_holds("peps", expected)
    texts = endpoint.stats()["texts"]
    (again,) = command.run("import", corpus, "--json").expect(0).json
    assert (again["unchanged"], again["new"], again["changed"]) == (len(expected), 0, 0)
    assert again["chunks"] == 0
    assert endpoint.stats()["texts"] - texts <= 1
    assert _accounted(again) == _files(corpus)


@pytest.fixture
def some_peps(corpus: Path, tmp_path: Path) -> Path:
    """Give every third of them: enough to be disturbed three times."""
    folder = tmp_path / "peps"
    folder.mkdir()
    for path in sorted(corpus.rglob("*.rst"))[::3]:
        shutil.copy(path, folder)
    return folder


def test_killed_workers_lose_no_pep(
    some_peps: Path, place: Place, headrace: Command, endpoint: FakeEndpoint
) -> None:
    """The worker is killed three times at random moments: the same rows, the same counts."""
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    draw = random.Random(seed)  # noqa: S311 - no secret
    endpoint.faults(latency_seconds=0.3)
    command = headrace.with_settings(collection="peps_killed")
    with command.started("import", some_peps, "--json") as importing:
        for _ in range(_KILLS):
            _let_work(place, importing)
            time.sleep(draw.uniform(0.0, 2.0))
            for worker in importing.workers():
                worker.kill()
        (summary,) = importing.wait(400).expect(0).json
    expected = chunks_of(some_peps)
    assert (summary["new"], summary["failed"]) == (len(expected), 0)
    assert summary["chunks"] == sum(expected.values())
    place.servers.assert_holds("peps_killed", expected)
    shown = command.run("jobs", "show", summary["job"], "--json").expect(0).json
    assert shown["state"] == "done"
    assert shown["counts"]["documents_committed"] == len(expected)
    assert shown["counts"]["chunks"] == shown["counts"]["chunks_written"]
    assert shown["counts"]["batches_published"] == shown["counts"]["batches_finished"]


def _let_work(place: Place, importing: Running) -> None:
    """Wait until more documents are committed than now."""
    before = len(place.servers.committed("peps_killed"))

    def worked() -> bool:
        assert importing.runs, "the import ended too early to be disturbed"
        return len(place.servers.committed("peps_killed")) > before

    until(worked, "a worker to commit something", 60)
