"""The committed dashboards are those of the code, whole, and easy to read."""

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana.__main__ import written
from grafana.board import Board
from grafana.query import Query
from tests.dashboards.boards import FOLDER, Panel, boards, panels
from tests.dashboards.rules import RUNBOOKS

BOARDS = boards()
PANELS = list(panels())
COLUMNS = 24


def test_the_committed_json_is_what_the_code_makes(tmp_path: Path) -> None:
    """Whoever changes the code writes the JSON anew: make dashboards."""
    fresh = {path.name: path.read_text() for path in written(tmp_path)}
    assert {path.name: path.read_text() for path in FOLDER.glob("*.json")} == fresh


def test_ids_are_unique_over_all_boards() -> None:
    """A link to a panel leads to one; the uids of dashboards are unique as well."""
    ids = [panel["id"] for board in BOARDS.values() for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS)


def test_a_second_panel_of_an_id_is_refused() -> None:
    """A copied panel does not take over the links of another."""
    board = Board("b", "B", "B.")
    board.stat(1, "One", "One.", Query("vector(1)"), "short")
    with pytest.raises(ValueError, match="two panels have the id 1"):
        board.stat(1, "Two", "Two.", Query("vector(2)"), "short")


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel.json["id"]))
def test_a_panel_says_what_it_shows(panel: Panel) -> None:
    """It has a title, a description, a unit, a data source to choose, and asks something."""
    assert panel.json["title"]
    assert panel.json["description"].endswith((".", "`"))
    assert panel.json["fieldConfig"]["defaults"]["unit"]
    assert panel.json["datasource"]["uid"] == "${datasource}"
    assert panel.queries
    for link in panel.json.get("links", []):
        name = link["url"].removeprefix("${runbooks}/")
        assert (RUNBOOKS / name).exists(), name


@pytest.mark.parametrize("name", BOARDS)
def test_panels_stand_in_the_grid_and_apart(name: str) -> None:
    """None is past column 24, none lies on another."""
    places = [panel["gridPos"] for panel in BOARDS[name]["panels"]]
    assert all(place["x"] + place["w"] <= COLUMNS for place in places)
    for one, other in combinations(places, 2):
        assert not _overlap(one, other), (one, other)


@pytest.mark.parametrize("name", BOARDS)
def test_no_board_names_a_server(name: str) -> None:
    """What differs from place to place is a variable."""
    kinds = {v["name"]: v["type"] for v in BOARDS[name]["templating"]["list"]}
    assert kinds["datasource"] == "datasource"
    assert kinds["runbooks"] == "textbox"


def _overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    return not (beside or above)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel.json["id"]))
def test_a_fallback_is_no_line_of_its_own(panel: Panel) -> None:
    """`or vector(0)` stands beside series with labels for ever; `or on () vector(0)` gives way."""
    for query in panel.queries:
        if " by (" in query and "vector(0)" in query:
            assert "or on () vector(0)" in query


def test_grafana_is_told_where_dashboards_and_numbers_are() -> None:
    """The files for its provisioning are of the form that it reads."""
    folder = FOLDER.parent / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"]
    assert source["type"] == "prometheus"
    (provider,) = yaml.safe_load((folder / "dashboards/headrace.yml").read_text())["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"].startswith("/")
