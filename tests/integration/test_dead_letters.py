"""Promises of ``headrace dead-letters``, with embedded servers and an endpoint that refuses."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.ids import document_id
from contract.settings import load_settings
from tests.integration.conftest import Place
from tests.servers.command import Command
from tests.servers.contents import chunks_of
from tests.servers.endpoint import FakeEndpoint
from tests.servers.library import prose, write_library

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MARKER = "REFUSE-ME"
POISONED = ("shelf-0/book-040.md", "shelf-1/book-333.md", "shelf-3/book-699.md")


def _poison(folder: Path, key: str) -> None:
    with (folder / key).open("a", encoding="utf-8") as file:
        file.write(f"\nHere it says {MARKER}.\n")


def _letters(command: Command, *filters: str) -> list[dict[str, Any]]:
    listed = command.run("dead-letters", "list", "--json", *filters).expect(0).json
    assert isinstance(listed, list)
    return sorted(listed, key=lambda letter: str(letter["key"]))


def test_three_poison_documents_among_700(
    place: Place, headrace: Command, endpoint: FakeEndpoint
) -> None:
    """697 are searchable and 3 are named; mended and replayed, all 700 are there, each once."""
    folder = place.folder / "seven_hundred"
    write_library(folder, 700, 200)
    for key in POISONED:
        _poison(folder, key)
    endpoint.faults(refuse_marker=MARKER)
    command = headrace.with_settings(collection="seven_hundred")
    (summary,) = command.run("import", folder, "--json").expect(1).json
    assert (summary["new"], summary["failed"]) == (700, 3)
    assert {item["key"] for item in summary["left_out"]} == set(POISONED)
    expected = chunks_of(folder)
    bad = {document_id("seven_hundred", key.encode()) for key in POISONED}
    place.servers.assert_holds(
        "seven_hundred", {doc: count for doc, count in expected.items() if doc not in bad}
    )
    letters = _letters(command, "--collection", "seven_hundred")
    assert tuple(letter["key"] for letter in letters) == POISONED
    for letter in letters:
        assert (letter["stage"], letter["reason"]) == ("embed", "EmbeddingRefusedError")
        assert "refused" in letter["message"]
        assert len(letter["dead_ordinals"]) == 1
    table = command.run("dead-letters", "list", "--collection", "seven_hundred").expect(0)
    assert all(key in table.out for key in POISONED)
    _assert_replayed(place, command, endpoint, expected)


def _assert_replayed(
    place: Place, command: Command, endpoint: FakeEndpoint, expected: dict[str, int]
) -> None:
    """While nothing is mended they stay; after the fix they come in, and once only."""
    replay = ("dead-letters", "replay", "--collection", "seven_hundred", "--json")
    (vain,) = command.run(*replay).expect(1).json
    assert (vain["replayed"], vain["failed"]) == (3, 3)
    assert len(_letters(command, "--collection", "seven_hundred")) == 3
    endpoint.faults(refuse_marker=None)
    before = set(place.servers.rows("seven_hundred"))
    (summary,) = command.run(*replay).expect(0).json
    assert (summary["replayed"], summary["failed"], summary["refused"]) == (3, 0, 0)
    place.servers.assert_holds("seven_hundred", expected)
    assert before < set(place.servers.rows("seven_hundred"))
    assert _letters(command, "--collection", "seven_hundred") == []
    rows = set(place.servers.rows("seven_hundred"))
    assert command.run(*replay).expect(0).json == []
    assert set(place.servers.rows("seven_hundred")) == rows


@pytest.fixture
def poisoned(place: Place, headrace: Command, endpoint: FakeEndpoint) -> Iterator[Command]:
    """Give the command for a collection whose folder holds a good and a bad document."""
    folder = place.folder / "cellar"
    folder.mkdir(exist_ok=True)
    (folder / "good.md").write_text(f"# Good\n\n{prose('good', 900)}\n")
    (folder / "bad.md").write_text(f"# Bad\n\n{prose('before', 1_500)}\n")
    command = headrace.with_settings(collection="cellar")
    endpoint.faults(refuse_marker=MARKER)
    command.run("import", folder).expect(0)
    (folder / "bad.md").write_text(
        f"# Bad\n\n{prose('first', 1_500)}\n\n{MARKER}\n\n{prose('last', 1_500)}\n"
    )
    command.run("import", folder).expect(1)
    yield command
    command.run("dead-letters", "purge", "--collection", "cellar", "--yes").expect(0)


def test_the_version_before_is_found_until_the_rest_is_accepted(
    place: Place, poisoned: Command
) -> None:
    """A dead version leaves the old rows alone; accepted, it is there without its dead chunk."""
    folder = place.folder / "cellar"
    assert "bad.md" in {letter["key"] for letter in _letters(poisoned, "--collection", "cellar")}
    found = poisoned.run("search", prose("before", 1_500)[:200], "-k", "1", "--json").expect(0)
    assert found.json[0]["path"] == "bad.md"
    whole = chunks_of(folder)
    (summary,) = poisoned.run("dead-letters", "accept", "bad.md", "--json").expect(0).json
    assert (summary["replayed"], summary["failed"]) == (1, 0)
    bad = document_id("cellar", b"bad.md")
    (place_of_bad,) = (doc for doc in whole if doc == bad)
    place.servers.assert_holds("cellar", {**whole, place_of_bad: whole[bad] - 1})
    assert _letters(poisoned, "--collection", "cellar") == []
    (again,) = poisoned.run("import", folder, "--json").expect(0).json
    assert (again["unchanged"], again["chunks"]) == (2, 0)


def test_two_replays_at_once(place: Place, poisoned: Command, endpoint: FakeEndpoint) -> None:
    """Two commands at the same time have the effect of one."""
    endpoint.faults(refuse_marker=None)
    replay = ("dead-letters", "replay", "--collection", "cellar", "--json")
    with poisoned.started(*replay) as one, poisoned.started(*replay) as other:
        for running in (one, other):
            running.wait(120).expect(0)
    place.servers.assert_holds("cellar", chunks_of(place.folder / "cellar"))
    assert _letters(poisoned, "--collection", "cellar") == []


def test_shown_filtered_and_purged(poisoned: Command) -> None:
    """Filters choose, show tells everything, and purge asks before it forgets."""
    mine = ("--collection", "cellar")
    assert len(_letters(poisoned, *mine, "--stage", "embed", "--since", "1h")) == 1
    assert _letters(poisoned, *mine, "--stage", "read") == []
    assert _letters(poisoned, *mine, "--until", "1h") == []
    assert _letters(poisoned, *mine, "--source", "other") == []
    assert len(_letters(poisoned, *mine, "--reason", "embeddingrefusederror", "bad.md")) == 1
    shown = poisoned.run("dead-letters", "show", "bad.md", *mine).expect(0).out
    for word in ("bad.md", "cellar", "EmbeddingRefusedError", "refused", "attempts"):
        assert word in shown
    assert re.search(r"^  chunk \d", shown, re.MULTILINE)
    (letter,) = poisoned.run("dead-letters", "show", "bad.md", *mine, "--json").expect(0).json
    assert MARKER in letter["dead_chunks"][0]["text"]
    assert "no dead letter" in poisoned.run("dead-letters", "show", "good.md").expect(2).err
    unasked = poisoned.run("dead-letters", "purge", *mine).expect(2)
    assert "1 dead letters would be forgotten" in unasked.err
    assert len(_letters(poisoned, *mine)) == 1
    purged = poisoned.run("dead-letters", "purge", *mine, "--yes", "--json").expect(0)
    assert purged.json == {"purged": 1}
    assert _letters(poisoned, *mine) == []


def test_a_file_that_could_not_be_read(place: Place, headrace: Command) -> None:
    """Mended in its folder it is replayed from there, and nothing else of the folder is."""
    folder = place.folder / "unread"
    write_library(folder, 2, 300)
    broken = folder / "broken.md"
    broken.write_bytes(b"\xef\xbb\xbfmarked as UTF-8: \xff")
    command = headrace.with_settings(collection="unread")
    command.run("import", folder).expect(1)
    held = chunks_of(folder)
    replay = ("dead-letters", "replay", "--collection", "unread", "--json")
    (vain,) = command.run(*replay).expect(1).json
    assert (vain["replayed"], vain["failed"]) == (0, 1)
    broken.write_text("Now it can be read.\n")
    (folder / "new.md").write_text("Not asked for.\n")
    (summary,) = command.run(*replay).expect(0).json
    assert (summary["replayed"], summary["failed"]) == (1, 0)
    place.servers.assert_holds("unread", {**held, document_id("unread", b"broken.md"): 1})
    assert _letters(command, "--collection", "unread") == []


def test_wrong_use(tmp_path: Path) -> None:
    """What can't be meant is refused before anything is started."""
    command = Command(tmp_path)
    assert "--since" in command.run("dead-letters", "list", "--since", "yesterday").expect(2).err
    assert "headrace up" in command.run("dead-letters", "replay", "--detach").expect(2).err
    assert not load_settings({}, tmp_path, data_folder=tmp_path / ".headrace").data_folder.exists()
