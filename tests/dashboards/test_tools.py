"""Prometheus' own tools find no fault with rules, configurations and unit tests."""

import subprocess

import pytest

from tests.dashboards.rules import ALERTMANAGER, FOLDER
from tests.servers.prometheus import program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

RULES = sorted(map(str, (FOLDER / "rules").glob("*.yml")))
TESTS = sorted(map(str, (FOLDER / "tests").glob("*.yml")))


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("promtool", ["check", "rules", "--lint=all", "--lint-fatal", *RULES]),
        ("promtool", ["check", "config", str(FOLDER / "prometheus.yml")]),
        ("promtool", ["test", "rules", *TESTS]),
        ("amtool", ["check-config", str(ALERTMANAGER)]),
    ],
    ids=["rules", "config", "unit tests", "alertmanager"],
)
def test_a_tool_finds_no_fault(tool: str, arguments: list[str]) -> None:
    """Each exits with 0; what it says is shown when it does not."""
    ended = subprocess.run([program(tool), *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
