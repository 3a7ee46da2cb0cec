"""Promises of dashboards and alerts in front of the real system, by a real Prometheus."""

import json
import math
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dashboards.boards import boards, label_queries, panels
from tests.dashboards.promql import selectors
from tests.dashboards.rules import alerts, rules
from tests.dashboards.system import SCRAPE_SECONDS, System, running_system
from tests.servers.command import until
from tests.servers.prometheus import Answer, program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.xdist_group("prometheus"),
]

MOST_SERIES = 2_000
RATE_INTERVAL = f"{8 * SCRAPE_SECONDS}s"
"""What Grafana would put for $__rate_interval: at least four scrapes."""
# Read now: tests see no variable of ours.
SAVE_FOLDER = os.environ.get("HEADRACE_SAVE_QUERIES")
"""Takes what panels were answered, to draw them elsewhere."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Run everything for the tests of this module, which follow one another."""
    for name in ("prometheus", "prometheus-alertmanager", "promtool"):
        program(name)
    with running_system(tmp_path_factory.mktemp("live")) as running:
        yield running


@pytest.fixture(scope="module")
def begun() -> float:
    """Tell when this module began, in seconds since 1970."""
    return time.time()


def test_every_panel_shows_something(system: System, begun: float) -> None:
    """No query of a panel fails, warns, or stays without a finite value on a system at work."""
    left = [(panel, place) for panel in panels() for place in range(len(panel.queries))]
    total = len(left)

    def all_answered() -> bool:
        left[:] = [(p, n) for p, n in left if not _is_finite(_ask(system, p.queries[n], begun))]
        return not left

    try:
        until(all_answered, "all panels to have data", 90)
    except AssertionError:
        missing = "\n".join(f"{panel.name}: {panel.queries[place]}" for panel, place in left)
        raise AssertionError(f"{len(left)} queries have no data:\n{missing}") from None
    _say(
        f"{len(boards())} dashboards, {len(list(panels()))} panels, {total} queries with data "
        f"after {time.time() - begun:.0f} s of load"
    )


def test_every_variable_offers_something(system: System) -> None:
    """A list to choose from has values."""
    for board, metric, label in label_queries():
        assert system.prometheus.values_of(label, metric), f"{board}: {label}"


def test_every_rule_works(system: System, begun: float) -> None:
    """Rules are evaluated without fault or warning; recordings have values, alerts series."""
    for loaded in system.prometheus.rules():
        assert loaded["health"] == "ok", (loaded["name"], loaded.get("lastError"))
    for rule in rules():
        answer = system.prometheus.now(rule.expr)
        assert not answer.warnings, (rule.alert or rule.record, answer.warnings)
        if rule.record is not None:
            assert _is_finite(_ask(system, rule.record, begun)), rule.record
        for part in _selected(rule.expr):
            assert _is_finite(_ask(system, f"count({part})", begun)), (rule.alert, part)
    number = len({rule.alert for rule in alerts()})
    _say(f"{number} alerts in {len(alerts())} rules, {len(rules())} rules in all")


def test_no_process_has_too_many_series(system: System) -> None:
    """A worker, and everything beside it, costs Prometheus little."""
    answer = system.prometheus.now("max by (job) (scrape_samples_scraped)")
    series = {one["metric"]["job"]: int(one["values"][0][1]) for one in answer.series}
    _say(f"series per process: {series}")
    assert len(series) == 4
    assert max(series.values()) < MOST_SERIES


@pytest.mark.parametrize("process", ["worker-1", "producer", "scheduler", "exporter"])
def test_names_are_as_prometheus_wants_them(system: System, process: str) -> None:
    """Units, suffixes and help texts pass its own linter."""
    ended = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=system.metrics(process),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


def test_stopped_workers_page_and_their_return_is_told(system: System) -> None:
    """Alert, Alertmanager, pager, and back; what it explains is not paged as well.

    Waits and windows of the alerts are those of the copy, 60 times shorter than what is shipped.
    """
    told = system.pager.told
    until(lambda: bool(told("firing", "HeadraceWatchdog")), "the watchdog's call", 20)
    stopped = time.time()
    system.stop_workers()
    until(lambda: bool(told("firing", "HeadraceWorkersAbsent", stopped)), "a page", 60)
    suppressed = system.alertmanager.suppressed
    until(lambda: "HeadraceStalled" in suppressed(), "what follows from it to be suppressed", 60)
    assert not told("firing", "HeadraceStalled", stopped), "explained, so not paged"
    woken = time.time()
    system.wake_workers()
    until(lambda: bool(told("resolved", "HeadraceWorkersAbsent", woken)), "the all-clear", 60)
    page = told("firing", "HeadraceWorkersAbsent", stopped)[0]
    assert page.receiver == "pages"
    assert re.search(r"no worker, and \d+ batches wait", page.annotations["summary"])
    assert page.annotations["runbook_url"].endswith("HeadraceWorkersAbsent.md")
    _say(f"workers stopped at 0.0 s, woken at {woken - stopped:.1f} s; calls:")
    for call in system.pager.calls:
        if call.at > stopped and call.labels["alertname"] != "HeadraceWatchdog":
            summary = call.annotations["summary"]
            _say(f"  {call.at - stopped:5.1f} s {call.receiver:8} {call.status:8} {summary}")


def test_the_answers_can_be_kept(system: System, begun: float, tmp_path: Path) -> None:
    """What panels were answered can be written to files, for pictures that need no server."""
    folder = Path(SAVE_FOLDER or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    for name, board in boards().items():
        answers = {
            panel.json["id"]: [_ask(system, query, begun).series for query in panel.queries]
            for panel in panels()
            if panel.board == name
        }
        (folder / f"{name}.json").write_text(json.dumps({"board": board, "answers": answers}))
    assert len(list(folder.glob("*.json"))) == len(boards())


def _ask(system: System, expr: str, begun: float) -> Answer:
    answer = system.prometheus.over(_filled_in(expr), begun, time.time())
    assert not answer.warnings, (expr, answer.warnings)
    return answer


def _filled_in(expr: str) -> str:
    """Put in what Grafana would."""
    expr = expr.replace("$__rate_interval", RATE_INTERVAL)
    expr = re.sub(r"\$(collection|source)\b", ".*", expr)
    assert "$" not in expr, expr
    return expr


def _selected(expr: str) -> list[str]:
    """Give the selectors of a rule, whose series must be there for it to say anything."""
    found = []
    for selector in selectors(expr):
        inside = ",".join(f'{label}{op}"{value}"' for label, op, value in selector.matchers)
        found.append(f"{selector.metric}{{{inside}}}")
    return found


def _is_finite(answer: Answer) -> bool:
    return any(
        math.isfinite(float(value)) for series in answer.series for _, value in series["values"]
    )


def _say(text: str) -> None:
    print(text)  # noqa: T201 - a summary for whoever runs with -s
