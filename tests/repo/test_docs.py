"""What the documents say is what the code does."""

import re
from pathlib import Path

import click
import pytest

from contract.observing_settings import ObservingSettings
from contract.settings import Settings
from headrace.cli.exit_code import ExitCode
from headrace.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def test_every_setting_stands_in_the_readme_as_it_is() -> None:
    """The table of settings is the settings class: names, defaults, descriptions."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", README, re.MULTILINE)
    expected = [
        (name, "" if field.default is None else f"`{field.default}`", field.description)
        for name, field in sorted(
            Settings.model_fields.items(),
            key=lambda item: item[0] in ObservingSettings.model_fields,
        )
    ]
    assert [row for row in rows if row[0] in Settings.model_fields] == expected


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_stands_in_the_readme(name: str) -> None:
    """A command that the readme does not name is not there for users."""
    assert f"headrace {name}" in README


def test_every_option_in_the_readme_exists() -> None:
    """The options that the table of commands names are options of these commands."""
    context = click.Context(cli)
    for name, text in re.findall(r"^\| `headrace ([\w-]+)[^`]*` \| (.*) \|$", README, re.MULTILINE):
        command = cli.get_command(context, name)
        assert command is not None
        known = {option for param in command.params for option in param.opts}
        assert set(re.findall(r"`(--?[\w-]+)`", text)) <= known, name


def test_exit_codes_in_the_readme_are_those_of_the_code() -> None:
    """The table of exit codes is complete."""
    table = README.partition("| exit code |")[2].partition("\n\n")[0]
    assert [int(code) for code in re.findall(r"^\| (\d) \|", table, re.MULTILINE)] == list(ExitCode)


def test_modules_named_in_the_architecture_exist() -> None:
    """A path in the architecture leads somewhere."""
    paths = re.findall(r"`((?:contract|producers|worker|headrace|tests)/[\w/.]+)`", ARCHITECTURE)
    assert paths
    for path in paths:
        assert (ROOT / path).exists(), path


def test_every_row_of_the_crash_table_names_a_test() -> None:
    """What is said of a kill is tested where the table says."""
    table = ARCHITECTURE.partition("| killed after |")[2].partition("\n\n")[0].splitlines()[2:]
    assert table
    for row in table:
        path, _, name = row.rsplit("`", 2)[1].partition("::")
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), row
