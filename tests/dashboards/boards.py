"""The committed dashboards, as Grafana would read them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "grafana" / "dashboards"


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel, rows apart."""

    board: str
    json: dict[str, Any]

    @property
    def name(self) -> str:
        """Name it for a message."""
        return f"{self.board} {self.json['id']} “{self.json['title']}”"

    @property
    def queries(self) -> list[str]:
        """What it asks."""
        return [target["expr"] for target in self.json["targets"]]

    @property
    def legends(self) -> list[str]:
        """How its lines are called."""
        return [target["legendFormat"] for target in self.json["targets"]]


def boards() -> dict[str, dict[str, Any]]:
    """Read all dashboards, by the names of their files."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def panels() -> Iterator[Panel]:
    """Give all panels of all dashboards."""
    for name, board in boards().items():
        for panel in board["panels"]:
            if panel["type"] != "row":
                yield Panel(name, panel)


def label_queries() -> Iterator[tuple[str, str, str]]:
    """Give the variables that ask for the values of a label: dashboard, metric, label."""
    for name, board in boards().items():
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                inside = str(variable["query"]).removeprefix("label_values(").removesuffix(")")
                metric, _, label = inside.partition(", ")
                yield name, metric, label
