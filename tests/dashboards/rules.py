"""The committed rules of Prometheus, and their unit tests."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"
ALERTMANAGER = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: an alert, or a recording."""

    file: str
    json: dict[str, Any]

    @property
    def expr(self) -> str:
        """What it asks."""
        return str(self.json["expr"])

    @property
    def alert(self) -> str | None:
        """The name of an alert; None of a recording."""
        return self.json.get("alert")

    @property
    def record(self) -> str | None:
        """The name of a recording; None of an alert."""
        return self.json.get("record")


def rules() -> list[Rule]:
    """Read all rules."""
    return [
        Rule(path.name, rule)
        for path in sorted((FOLDER / "rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def alerts() -> list[Rule]:
    """Read all alerts; several may have one name, and then another severity."""
    return [rule for rule in rules() if rule.alert is not None]


def unit_tests() -> Iterator[tuple[str, bool]]:
    """Give of each unit test the alert, and whether it is to fire."""
    for path in sorted((FOLDER / "tests").glob("*.yml")):
        for test in yaml.safe_load(path.read_text())["tests"]:
            for case in test["alert_rule_test"]:
                yield case["alertname"], bool(case["exp_alerts"])
