"""Every alert can be acted on, and is tested; every runbook tells commands that exist."""

import re
import shlex

import click
import pytest
import yaml

from contract.settings import Settings
from headrace.cli.main import cli
from tests.dashboards.boards import boards
from tests.dashboards.rules import ALERTMANAGER, ROOT, RUNBOOKS, Rule, alerts, unit_tests

ALERTS = alerts()
NAMES = sorted({str(rule.alert) for rule in ALERTS})
ALWAYS = "HeadraceWatchdog"
HEADINGS = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"]


@pytest.mark.parametrize(
    "rule", ALERTS, ids=lambda rule: f"{rule.alert}-{rule.json['labels']['severity']}"
)
def test_an_alert_says_what_to_do(rule: Rule) -> None:
    """Its summary has the value, its links lead to its runbook and to a panel."""
    notes = rule.json["annotations"]
    assert rule.json["labels"]["severity"] in {"page", "ticket", "none"}
    assert "$value" in notes["summary"] or "$labels" in notes["summary"]
    assert notes["description"].endswith(".")
    assert notes["runbook_url"].endswith(f"/docs/runbooks/{rule.alert}.md")
    found = re.search(r"/d/([\w-]+)\?viewPanel=(\d+)$", notes["dashboard_url"])
    assert found is not None
    by_uid = {board["uid"]: board for board in boards().values()}
    assert int(found[2]) in {panel["id"] for panel in by_uid[found[1]]["panels"]}


def test_every_alert_is_tested_both_ways() -> None:
    """Each has a unit test in which it fires, and one in which it does not."""
    cases = set(unit_tests())
    assert {name for name, fires in cases if fires} == set(NAMES)
    # The watchdog fires always: there is no other case.
    assert {name for name, fires in cases if not fires} == set(NAMES) - {ALWAYS}


def test_there_is_a_runbook_for_each_alert_and_no_other() -> None:
    """Whoever is called finds it; one of an alert that is gone is gone as well."""
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_is_whole(name: str) -> None:
    """Its headings are those of all runbooks; what it links to is there."""
    text = (RUNBOOKS / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    assert [line for line in text.splitlines() if line.startswith("##")] == HEADINGS
    for target in re.findall(r"\]\((\w+\.md)\)", text):
        assert (RUNBOOKS / target).exists()
    for path in re.findall(r"deploy/[\w/.]+\.yml", text):
        assert (ROOT / path).exists()


@pytest.mark.parametrize("name", NAMES)
def test_commands_of_a_runbook_exist(name: str) -> None:
    """Each command, subcommand and option is one of the program's, each setting is a setting."""
    spans = re.findall(r"`([^`\n]+)`", (RUNBOOKS / f"{name}.md").read_text())
    for words in (shlex.split(span) for span in spans if span.startswith("headrace ")):
        context, command = click.Context(cli), cli.get_command(click.Context(cli), words[1])
        assert command is not None, words
        rest = words[2:]
        if isinstance(command, click.Group):
            command = command.get_command(context, rest[0])
            assert command is not None, words
            rest = rest[1:]
        options = {option for param in command.params for option in param.opts}
        assert {word for word in rest if word.startswith("-")} <= options, words
    others = {"noeviction", "dead_letters", "missing_rows", "stale_rows", "extra_rows"}
    for span in spans:
        if re.fullmatch(r"[a-z]+(_[a-z]+)+", span) and span not in others:
            assert span in Settings.model_fields or span.startswith("milvus_"), span


def test_alertmanager_speaks_of_alerts_that_exist() -> None:
    """What is silenced, or sent elsewhere, by name has that name."""
    config = yaml.safe_load(ALERTMANAGER.read_text())
    matchers = [matcher for route in config["route"]["routes"] for matcher in route["matchers"]]
    for rule in config["inhibit_rules"]:
        matchers += [*rule["source_matchers"], *rule["target_matchers"]]
    for matcher in matchers:
        found = re.fullmatch(r'alertname =(~?) "?(.*?)"?', matcher)
        if found is None:
            continue
        for one in re.sub(r"^Headrace\((.*)\)$", r"\1", found[2]).split("|"):
            name = one if one.startswith("Headrace") else f"Headrace{one}"
            assert any(re.fullmatch(name, alert) for alert in NAMES), name


def test_panels_that_runbooks_name_exist() -> None:
    """“Title” in a runbook is the title of a panel."""
    titles = {panel["title"] for board in boards().values() for panel in board["panels"]}
    for path in RUNBOOKS.glob("*.md"):
        for title in re.findall(r"“([^”]+)”", path.read_text()):
            if not title.startswith("Redis was lost"):
                assert title in titles, (path.name, title)
