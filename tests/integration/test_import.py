"""Promises of ``headrace import`` from files to rows, with embedded servers."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from contract.ids import document_id
from contract.settings import load_settings
from headrace.local.servers import attach
from tests.integration.conftest import Place
from tests.servers.command import Command, until
from tests.servers.contents import Servers, chunks_of
from tests.servers.endpoint import FakeEndpoint
from tests.servers.library import prose, write_library

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_FATES = ("new", "changed", "unchanged", "resumed", "skipped", "failed")


def _write_mixture(folder: Path) -> None:
    """Write one file of every kind that an import meets."""
    folder.mkdir(parents=True)
    (folder / "guide.md").write_text(f"# Guide\n\n{prose('guide', 5_000)}\n")
    (folder / "notes.rst").write_text(f"Notes\n=====\n\n{prose('notes', 3_000)}\n")
    (folder / "plain.txt").write_text(prose("plain", 900))
    (folder / "sub").mkdir()
    (folder / "sub" / "deep.md").write_text("Deep, but short.\n")
    (folder / "archive.zip").write_bytes(b"PK\x03\x04")
    (folder / "empty.md").touch()
    (folder / "blank.md").write_text(" \n\n")
    (folder / "binary.md").write_bytes(b"\0\1\2" * 100)
    (folder / "undecodable.md").write_bytes(b"\xef\xbb\xbfmarked as UTF-8: \xff")
    (folder / "big.txt").write_bytes(b"x" * 200_000)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    Path(os.fsdecode(os.fsencode(folder) + b"/na\xefve.txt")).write_text("A name in Latin-1.\n")


def _accounted(summary: Mapping[str, Any]) -> int:
    return sum(int(summary[fate]) for fate in _FATES)


def test_every_kind_of_file_meets_its_fate(
    place: Place, headrace: Command, endpoint: FakeEndpoint
) -> None:
    """What has text becomes rows, once; all else is named; only what changed is done again."""
    folder = place.folder / "mixture"
    _write_mixture(folder)
    command = headrace.with_settings(max_document_bytes=100_000, collection="mixture")
    settings = load_settings({}, folder, max_document_bytes=100_000)
    (summary,) = command.run("import", folder, "--json").expect(1).json
    assert {item["key"]: item["reason"] for item in summary["left_out"]} == {
        "archive.zip": "unknown_type",
        "empty.md": "empty",
        "blank.md": "empty",
        "binary.md": "binary",
        "undecodable.md": "undecodable",
        "big.txt": "too_big",
        "loop": "symlink_loop",
    }
    failed = {item["key"] for item in summary["left_out"] if item["failed"]}
    assert failed == {"undecodable.md", "big.txt", "loop"}
    assert (summary["new"], summary["skipped"], summary["failed"]) == (5, 4, 3)
    expected = chunks_of(folder, settings)
    assert summary["chunks"] == sum(expected.values())
    place.servers.assert_holds("mixture", expected)
    _assert_idle_again(place, command, endpoint, folder)
    _assert_changes_alone_are_done(place, command, endpoint, folder)
    _assert_mended(place, command, folder)


def _assert_idle_again(
    place: Place, command: Command, endpoint: FakeEndpoint, folder: Path
) -> None:
    """The same files again: nothing is embedded, nothing written."""
    rows, requests = set(place.servers.rows("mixture")), endpoint.stats()["texts"]
    (summary,) = command.run("import", folder, "--json").expect(1).json
    assert (summary["unchanged"], summary["new"], summary["changed"]) == (5, 0, 0)
    assert (summary["skipped"], summary["failed"], summary["chunks"]) == (4, 3, 0)
    # The command asks for one vector, to learn the dimension.
    assert endpoint.stats()["texts"] - requests <= 1
    assert set(place.servers.rows("mixture")) == rows


def _assert_changes_alone_are_done(
    place: Place, command: Command, endpoint: FakeEndpoint, folder: Path
) -> None:
    """One changed, one shrunk, two emptied: these alone lose their rows, and two get others."""
    before = set(place.servers.rows("mixture"))
    (folder / "plain.txt").write_text(prose("plain, but other", 900))
    shrunk = prose("guide", 5_000)[:1_500]
    (folder / "guide.md").write_text(f"# Guide\n\n{shrunk}\n")
    (folder / "notes.rst").write_bytes(b"")
    (folder / "sub" / "deep.md").write_text("   \n")
    (summary,) = command.run("import", folder, "--json", "--allow-deletes").expect(1).json
    assert (summary["changed"], summary["unchanged"], summary["new"]) == (2, 1, 0)
    assert (summary["deleted"], summary["skipped"], summary["failed"]) == (2, 6, 3)
    settings = load_settings({}, folder, max_document_bytes=100_000)
    place.servers.assert_holds("mixture", chunks_of(folder, settings))
    kept = document_id("mixture", b"na\xefve.txt")
    after = set(place.servers.rows("mixture"))
    assert after & before == {row for row in before if row.startswith(kept)}
    (again,) = command.run("import", folder, "--json").expect(1).json
    assert (again["unchanged"], again["skipped"], again["failed"]) == (3, 6, 3)
    assert (again["new"], again["changed"], again["chunks"]) == (0, 0, 0)


def _assert_mended(place: Place, command: Command, folder: Path) -> None:
    """What failed and is mended is imported, and its dead letter goes."""
    letters = _status(command, "mixture")["dead_letters"]
    (folder / "undecodable.md").write_text("Now it can be read.\n")
    (summary,) = command.run("import", folder, "--json").expect(1).json
    assert (summary["new"], summary["failed"]) == (1, 2)
    assert _status(command, "mixture")["dead_letters"] == letters - 1
    settings = load_settings({}, folder, max_document_bytes=100_000)
    place.servers.assert_holds("mixture", chunks_of(folder, settings))


def _status(command: Command, collection: str) -> dict[str, Any]:
    """Give what ``status`` says of one collection."""
    status = command.run("status", "--json").expect(0).json
    found = [item for item in status["collections"] if item["name"] == collection]
    assert len(found) == 1
    one: dict[str, Any] = found[0]
    return one


def test_a_refused_text_is_one_dead_letter(
    place: Place, headrace: Command, endpoint: FakeEndpoint
) -> None:
    """A document that the endpoint refuses is named and counted; mended, it is imported."""
    folder = place.folder / "refused"
    write_library(folder, 4, 2_000)
    bad = folder / "shelf-0" / "bad.md"
    bad.write_text(f"{prose('bad', 2_000)} REFUSE-ME {prose('worse', 2_000)}\n")
    endpoint.faults(refuse_marker="REFUSE-ME")
    command = headrace.with_settings(collection="refused", batch_max_chunks=4)
    (summary,) = command.run("import", folder, "--json").expect(1).json
    assert (summary["new"], summary["failed"]) == (5, 1)
    assert [item["key"] for item in summary["left_out"]] == ["shelf-0/bad.md"]
    expected = chunks_of(folder)
    del expected[document_id("refused", b"shelf-0/bad.md")]
    place.servers.assert_holds("refused", expected)
    again = command.run("import", folder).expect(1)
    assert "1 failed" in again.out
    assert "shelf-0/bad.md" in again.out
    bad.write_text(bad.read_text().replace("REFUSE-ME", "accept me"))
    (mended,) = command.run("import", folder, "--json").expect(0).json
    assert mended["unchanged"] == 4
    assert _status(command, "refused")["dead_letters"] == 0
    place.servers.assert_holds("refused", chunks_of(folder))


def test_search_and_jobs_tell_of_an_import(place: Place, headrace: Command) -> None:
    """What was imported is found, and every --json is one JSON value."""
    folder = place.folder / "found"
    write_library(folder, 3, 1_000)
    text = "The heron stands at the weir all day."
    (folder / "heron.md").write_text(f"# Birds\n\n## Herons\n\n{text}\n")
    command = headrace.with_settings(collection="found")
    command.run("import", folder).expect(0)
    hits = (
        command.run("search", f"# Birds\n\n## Herons\n\n{text}", "-k", "2", "--json").expect(0).json
    )
    assert len(hits) == 2
    assert hits[0]["path"] == "heron.md"
    assert hits[0]["source"] == "found"
    assert text in hits[0]["text"]
    assert hits[0]["score"] > hits[1]["score"]
    assert "heron.md" in command.run("search", text, "-k", "4").expect(0).out
    filtered = command.run("search", text, "--filter", 'path == "heron.md"', "--json").expect(0)
    assert [hit["path"] for hit in filtered.json] == ["heron.md"]
    wrong = command.run("search", text, "--filter", "path ==== 1").expect(2)
    assert "Traceback" not in wrong.err
    jobs = [
        job
        for job in command.run("jobs", "list", "--json").expect(0).json
        if job["collection"] == "found"
    ]
    assert [job["state"] for job in jobs] == ["done"]
    shown = command.run("jobs", "show", jobs[0]["id"], "--json").expect(0).json
    assert shown == jobs[0]
    assert shown["counts"]["chunks_written"] == sum(chunks_of(folder).values())
    assert jobs[0]["id"] in command.run("jobs", "list").expect(0).out
    assert "chunks_written" in command.run("jobs", "show", jobs[0]["id"]).expect(0).out


def test_two_imports_at_once_do_the_work_once(place: Place, headrace: Command) -> None:
    """Two commands on one folder at the same time end with the rows of one."""
    folder = place.folder / "both"
    write_library(folder, 24, 4_000)
    command = headrace.with_settings(collection="both", batch_max_chunks=8)
    again = ("import", folder, "--json")
    with command.started(*again) as one, command.started(*again) as other:
        summaries = [running.wait(120).expect(0).json[0] for running in (one, other)]
    for summary in summaries:
        assert _accounted(summary) == 24
        assert summary["failed"] == 0
    place.servers.assert_holds("both", chunks_of(folder))


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_resumed(
    place: Place, headrace: Command, endpoint: FakeEndpoint, stop: signal.Signals
) -> None:
    """Stopped in the middle it exits with 4 and leaves no worker; the same command finishes."""
    collection = f"stopped_{stop.name}"
    folder = place.folder / collection
    write_library(folder, 40, 6_000)
    endpoint.faults(latency_seconds=0.3)
    command = headrace.with_settings(collection=collection, batch_max_chunks=8)
    with command.started("import", folder, "--json") as running:
        until(lambda: _some_rows(place, collection), "the first rows")
        workers = running.workers()
        assert workers
        running.send(stop)
        stopped = running.wait().expect(4)
    assert "stopping: batches in flight may end first" in stopped.err
    assert "run the same command again" in stopped.err
    assert stopped.out == ""
    assert not any(worker.is_running() for worker in workers)
    expected = chunks_of(folder)
    assert len(place.servers.committed(collection)) < sum(expected.values())
    endpoint.faults(latency_seconds=0.0)
    (summary,) = command.run("import", folder, "--json").expect(0).json
    assert _accounted(summary) == 40
    place.servers.assert_holds(collection, expected)


def _some_rows(place: Place, collection: str) -> bool:
    return len(place.servers.committed(collection)) > 0


def test_a_second_folder_of_the_same_name_is_refused(place: Place, headrace: Command) -> None:
    """Another folder with the name of one that was imported must be named by the user."""
    command = headrace.with_settings(collection="namesakes")
    for where in ("one", "two"):
        write_library(place.folder / where / "docs", 1, 300)
    command.run("import", place.folder / "one" / "docs").expect(0)
    refused = command.run("import", place.folder / "two" / "docs").expect(2)
    assert str(place.folder / "one" / "docs") in refused.err
    assert "--source" in refused.err
    command.run("import", place.folder / "two" / "docs", "--source", "others").expect(0)
    assert len(place.servers.documents("namesakes")) == 2
    both = command.run("import", place.folder / "one" / "docs", place.folder / "two" / "docs")
    assert "docs" in both.expect(2).err


def test_detached_import_is_done_by_up(tmp_path: Path, headrace: Command) -> None:
    """``up`` in a folder does what ``import --detach`` leaves, and stops everything at its end."""
    command = Command(tmp_path, **headrace.settings)
    write_library(tmp_path / "docs", 6, 2_000)
    refused = command.run("import", "docs", "--detach").expect(2)
    assert "headrace up" in refused.err
    with command.started("up") as up:
        until(lambda: command.run("status", "--json").json["running"], "servers", 60)
        (summary,) = command.run("import", "docs", "--detach", "--json").expect(0).json
        assert (summary["state"], summary["new"]) == ("detached", 6)

        def done() -> bool:
            shown = command.run("jobs", "show", summary["job"], "--json").expect(0).json
            return bool(shown["state"] == "done")

        until(done, "the detached job", 60)
        addresses = attach(tmp_path / ".headrace")
        assert addresses is not None
        servers = Servers(addresses.redis_url, addresses.milvus_uri)
        servers.assert_holds("documents", chunks_of(tmp_path / "docs"))
        workers = up.workers()
        assert len(workers) == 1
        up.send(signal.SIGINT)
        up.wait().expect(0)
    assert not any(worker.is_running() for worker in workers)
    assert attach(tmp_path / ".headrace") is None
    assert command.run("status", "--json").expect(0).json == {
        "running": False,
        "workers": [],
        "producers": [],
        "schedules": 0,
        "overdue_schedules": [],
        "troubles": {},
        "queues": None,
        "lanes": {},
        "collections": [],
    }
