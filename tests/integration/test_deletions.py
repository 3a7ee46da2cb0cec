"""Promises about files that are gone: ``headrace import`` again, with embedded servers."""

import os
import shutil
from pathlib import Path

import pytest

from contract.ids import document_id
from headrace.local.servers import attach
from tests.integration.conftest import Place
from tests.servers.command import Command
from tests.servers.contents import chunks_of
from tests.servers.endpoint import FakeEndpoint
from tests.servers.library import prose, write_library

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_TEXT = "The kingfisher nests in the bank above the mill."


def _library(place: Place, headrace: Command, name: str) -> tuple[Path, Command]:
    """Import ten documents into a collection of their own."""
    folder = place.folder / name
    write_library(folder, 9, 600)
    (folder / "bird.md").write_text(_TEXT)
    command = headrace.with_settings(collection=name)
    command.run("import", folder).expect(0)
    return folder, command


def _bury_deep(folder: Path) -> None:
    """Make folders within folders until the path is longer than the system takes."""
    above = os.open(folder, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=above)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = below
    os.close(above)


def test_deleted_files_are_gone_from_search_and_collection(place: Place, headrace: Command) -> None:
    """Deleted, emptied and renamed files: rows and ledger are those of what is there now."""
    folder, command = _library(place, headrace, "vanishing")
    assert command.run("search", _TEXT, "-k", "1", "--json").json[0]["path"] == "bird.md"
    (folder / "bird.md").unlink()
    (folder / "shelf-0" / "book-000.md").write_text("")
    (summary,) = command.run("import", folder, "--json").expect(0).json
    assert (summary["deleted"], summary["unchanged"], summary["skipped"]) == (2, 8, 1)
    place.servers.assert_holds("vanishing", chunks_of(folder))
    hits = command.run("search", _TEXT, "-k", "10", "--json").expect(0).json
    assert "bird.md" not in {hit["path"] for hit in hits}
    (again,) = command.run("import", folder, "--json").expect(0).json
    assert (again["deleted"], again["unchanged"], again["chunks"]) == (0, 8, 0)


def test_the_guard_asks_first(place: Place, headrace: Command) -> None:
    """Half of a folder gone: nothing is deleted until someone says so; all else is done."""
    folder, command = _library(place, headrace, "guarded")
    expected = chunks_of(folder)
    shutil.rmtree(folder / "shelf-0")
    (folder / "new.md").write_text("Something new.")
    stopped = command.run("import", folder).expect(4)
    assert "3 of the 10 documents" in stopped.err
    assert "--allow-deletes" in stopped.err
    place.servers.assert_holds("guarded", expected | chunks_of(folder))
    foretold = command.run("import", folder, "--dry-run").expect(0)
    assert "it would stop before it deletes" in foretold.out
    (kept,) = command.run("import", folder, "--no-delete", "--json").expect(0).json
    assert (kept["deleted"], kept["kept"], kept["unchanged"]) == (0, 3, 8)
    place.servers.assert_holds("guarded", expected | chunks_of(folder))
    (done,) = command.run("import", folder, "--allow-deletes", "--json").expect(0).json
    assert (done["deleted"], done["kept"]) == (3, 0)
    place.servers.assert_holds("guarded", chunks_of(folder))
    both = command.run("import", folder, "--allow-deletes", "--no-delete").expect(2)
    assert "contradict" in both.err


def test_a_folder_that_can_not_be_read_deletes_nothing(place: Place, headrace: Command) -> None:
    """What is in it may be there: the listing is incomplete, and says so."""
    folder, command = _library(place, headrace, "hidden")
    expected = chunks_of(folder)
    (folder / "bird.md").unlink()
    _bury_deep(folder / "shelf-1")
    said = command.run("import", folder, "--allow-deletes").expect(1)
    assert "nothing was deleted" in said.out
    (summary,) = command.run("import", folder, "--json").expect(1).json
    assert (summary["deleted"], summary["incomplete"]) == (0, True)
    place.servers.assert_holds("hidden", expected)
    shutil.rmtree(folder / "shelf-1" / ("d" * 250))
    (mended,) = command.run("import", folder, "--json").expect(0).json
    assert (mended["unchanged"], mended["incomplete"]) == (9, False)
    place.servers.assert_holds("hidden", chunks_of(folder))


def test_a_disk_that_is_away_deletes_nothing_on_it(place: Place, headrace: Command) -> None:
    """Behind a link that leads nowhere now, files stay; elsewhere they are deleted as ever."""
    folder, command = _library(place, headrace, "linked")
    disk = place.folder / "disk"
    (folder / "shelf-2").rename(disk)
    (folder / "shelf-2").symlink_to(disk, target_is_directory=True)
    expected = chunks_of(folder)
    (folder / "bird.md").unlink()
    del expected[document_id("linked", b"bird.md")]
    disk.rename(place.folder / "disk-away")
    (summary,) = command.run("import", folder, "--json").expect(1).json
    assert (summary["deleted"], summary["failed"], summary["unchanged"]) == (1, 1, 7)
    place.servers.assert_holds("linked", expected)


def test_one_file_or_a_glob_deletes_only_what_it_covers(place: Place, headrace: Command) -> None:
    """Files that the command was not about stay, whether they are there or not."""
    folder, command = _library(place, headrace, "partial")
    expected = chunks_of(folder)
    (folder / "bird.md").write_text(" ")
    (folder / "shelf-1" / "book-001.md").unlink()
    (one,) = command.run("import", folder / "bird.md", "--json").expect(0).json
    assert (one["deleted"], one["skipped"]) == (1, 1)
    del expected[document_id("partial", b"bird.md")]
    place.servers.assert_holds("partial", expected)
    (some,) = command.run("import", folder, "--glob", "shelf-2/*", "--json").expect(0).json
    assert (some["deleted"], some["unchanged"]) == (0, 2)
    place.servers.assert_holds("partial", expected)


def test_a_dry_run_changes_nothing(
    place: Place, headrace: Command, endpoint: FakeEndpoint, tmp_path: Path
) -> None:
    """It tells, and neither rows nor ledger nor disk nor endpoint know of it."""
    folder, command = _library(place, headrace, "foretold")
    rows, documents = set(place.servers.rows("foretold")), place.servers.documents("foretold")
    jobs = command.run("jobs", "list", "--json").json
    asked = endpoint.stats()["texts"]
    (folder / "bird.md").unlink()
    (folder / "new.md").write_text(prose("new", 900))
    (foretold,) = command.run("import", folder, "--dry-run", "--json").expect(0).json
    assert (foretold["new"], foretold["deleted"], foretold["unchanged"]) == (1, 1, 9)
    assert foretold["tokens"] > foretold["chunks"] > 0
    assert foretold["cost_usd"] is None, "nobody knows the price of this endpoint"
    named = command.run("import", folder, "--dry-run", "-v").expect(0).out
    assert "new        new.md" in named
    assert "deleted    bird.md" in named
    assert set(place.servers.rows("foretold")) == rows
    assert place.servers.documents("foretold") == documents
    assert command.run("jobs", "list", "--json").json == jobs
    assert endpoint.stats()["texts"] == asked
    nowhere = Command(tmp_path)
    write_library(tmp_path / "docs", 2, 300)
    assert "2 new" in nowhere.run("import", "docs", "--dry-run").expect(0).out
    assert sorted(os.listdir(tmp_path)) == ["docs"]  # noqa: PTH208 - names are asked for
    assert attach(tmp_path / ".headrace") is None
    refused = nowhere.run("import", "docs", "--dry-run", "--detach").expect(2)
    assert "--dry-run" in refused.err
