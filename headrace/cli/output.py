"""Where lines go: results to standard output, everything else to standard error."""

from typing import Any

import click
import orjson


def say(line: str) -> None:
    """Tell a person what happens."""
    click.echo(line, err=True)


def give(text: str) -> None:
    """Give a result as text."""
    click.echo(text)


def give_json(value: Any) -> None:
    """Give a result as exactly one JSON value."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode())
