"""Dashboards and alerts ask for what the code has, and show all that it has."""

import re
from collections.abc import Iterator

import pytest

from tests.dashboards.boards import label_queries, panels
from tests.dashboards.catalogue import Series, catalogue
from tests.dashboards.promql import grouping, recordings, selectors
from tests.dashboards.rules import rules

TARGET_LABELS = {"job", "instance", "le"}
"""Of Prometheus, and of histograms."""
ON_NO_PANEL = {
    "headrace_source_last_success_timestamp_seconds": "headrace_source_age_seconds is shown",
}
"""Metrics that are shown nowhere: name, and why."""


@pytest.fixture(scope="module")
def known() -> dict[str, Series]:
    """Give the metrics of the code."""
    return catalogue()


def asked() -> Iterator[tuple[str, str, list[str]]]:
    """Give who asks, the expression, and how results are called."""
    for panel in panels():
        for query, legend in zip(panel.queries, panel.legends, strict=True):
            yield panel.name, query, [legend]
    for rule in rules():
        texts = [str(text) for text in rule.json.get("annotations", {}).values()]
        yield f"{rule.file} {rule.alert or rule.record}", rule.expr, texts


def test_every_metric_that_is_asked_for_is_in_the_code(known: dict[str, Series]) -> None:
    """A panel or an alert on a metric that nobody has is empty or silent for ever."""
    missing = [
        f"{who}: {selector.metric}"
        for who, expr, _ in asked()
        for selector in selectors(expr)
        if selector.metric not in known
    ]
    assert not missing


def test_every_matcher_can_match(known: dict[str, Series]) -> None:
    """Labels exist, and a value of a closed set is in it: so also le="60.0", never le="60"."""
    wrong = []
    for who, expr, _ in asked():
        for selector in selectors(expr):
            series = known[selector.metric]
            for label, operator, value in selector.matchers:
                if label not in series.labels:
                    wrong.append(f"{who}: {selector.metric} has no label {label}")
                elif label in series.values and "$" not in value:
                    there = series.values[label]
                    asked_for = value.split("|") if operator in {"=~", "!~"} else [value]
                    wrong += [f"{who}: {label}={one}" for one in asked_for if one not in there]
    assert not wrong


def test_labels_of_groups_and_legends_exist(known: dict[str, Series]) -> None:
    """A sum by a label that is not there, or a legend of it, says nothing."""
    wrong = []
    for who, expr, texts in asked():
        metrics = [known[selector.metric] for selector in selectors(expr)]
        if not metrics:
            continue
        there = TARGET_LABELS.union(*(series.labels for series in metrics))
        used = grouping(expr)
        for text in texts:
            used |= set(re.findall(r"\{\{(\w+)\}\}", text))
            used |= set(re.findall(r"\$labels\.(\w+)", text))
        wrong += [f"{who}: {label}" for label in used - there]
    assert not wrong


def test_every_metric_of_the_code_is_on_a_panel(known: dict[str, Series]) -> None:
    """What is measured is shown, or it is said why not."""
    on_panels = {
        known[selector.metric].family
        for panel in panels()
        for query in panel.queries
        for selector in selectors(query)
    }
    # By way of recordings, too.
    recorded = {rule.record: rule.expr for rule in rules() if rule.record}
    for panel in panels():
        for query in panel.queries:
            for name in recordings(query):
                on_panels |= {known[s.metric].family for s in selectors(recorded[name])}
    families = {series.family for series in known.values()}
    assert families - on_panels == set(ON_NO_PANEL)


def test_recordings_are_there_and_used() -> None:
    """Each recorded series that is asked for is recorded, and none is recorded for nobody."""
    recorded = {rule.record for rule in rules() if rule.record}
    used = {name for _, expr, _ in asked() for name in recordings(expr)}
    assert used == recorded


def test_variables_ask_for_labels_that_exist(known: dict[str, Series]) -> None:
    """A list to choose from is never empty because of a name."""
    found = list(label_queries())
    assert found
    for board, metric, label in found:
        assert label in known[metric].labels, board
