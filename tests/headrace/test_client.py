"""Promises of the Python API."""

from pathlib import Path

import pytest
from langchain_core.documents import Document

from contract.errors import UsageError
from contract.settings import load_settings
from headrace.client import Headrace
from headrace.selection import Selection
from tests.servers.endpoint import FakeEndpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_import_wait_and_search(tmp_path: Path, endpoint: FakeEndpoint) -> None:
    """What an import brought can be found when it returns; the same again costs nothing."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "mill.md").write_text("# Mill\n\nThe wheel turns the stones.\n")
    (tmp_path / "docs" / "other.txt").write_text("Left out by the glob.\n")
    settings = load_settings(
        {},
        tmp_path,
        data_folder=tmp_path / "data",
        embedding_provider="openai",
        embedding_base_url=endpoint.url,
    )
    tickets = [Document(id="t-1", page_content="A knock in the gear.", metadata={"team": "mill"})]
    with Headrace(settings) as headrace:
        summary = headrace.import_files(str(tmp_path / "docs"), glob="*.md")
        assert (summary.new, summary.failed, summary.skipped) == (1, 0, 0)
        assert headrace.import_documents(tickets, source="tickets").new == 1
        asked = endpoint.stats()["requests"]
        assert headrace.import_documents(tickets, source="tickets").unchanged == 1
        assert endpoint.stats()["requests"] == asked
        hits = headrace.search("knock in the gear", limit=2)
        assert [(hit.source, hit.path) for hit in hits] == [("tickets", "t-1"), ("docs", "mill.md")]
        assert hits[0].metadata["team"] == "mill"
        asked = endpoint.stats()["requests"]
        found = headrace.search_many(["wheel stones", "gear knock"], limit=1)
        assert [hits[0].path for hits in found] == ["mill.md", "t-1"]
        assert endpoint.stats()["requests"] == asked + 1
        with pytest.raises(UsageError, match="needs an id"):
            headrace.import_documents([Document(page_content="nameless")], source="tickets")


def test_dead_letters_and_replay(tmp_path: Path, endpoint: FakeEndpoint) -> None:
    """A program sees what could not be brought in, and tries it again after the fix."""
    settings = load_settings(
        {},
        tmp_path,
        data_folder=tmp_path / "data",
        embedding_provider="openai",
        embedding_base_url=endpoint.url,
    )
    tickets = [Document(id=f"t-{n}", page_content=f"A knock in gear {n}.") for n in range(3)]
    endpoint.faults(refuse_marker="gear 1")
    with Headrace(settings) as headrace:
        summary = headrace.import_documents(tickets, source="tickets")
        assert (summary.new, summary.failed) == (3, 1)
        (letter,) = headrace.dead_letters()
        assert (letter.key, letter.stage) == ("t-1", "embed")
        none = Selection(documents=frozenset({"t-2"}))
        assert headrace.dead_letters(selection=none) == []
        assert headrace.replay(selection=none) == []
        endpoint.faults(refuse_marker=None)
        (replayed,) = headrace.replay()
        assert (replayed.replayed, replayed.has_dead_letters) == (1, False)
        assert headrace.dead_letters() == []
        assert headrace.search("knock in gear 1", limit=1)[0].path == "t-1"


def test_outside_of_its_block_it_says_how_to_use_it(tmp_path: Path) -> None:
    """A forgotten with is told of, not hung upon."""
    headrace = Headrace(load_settings({}, tmp_path))
    with pytest.raises(RuntimeError, match="with Headrace"):
        headrace.search("anything")
