"""Where lines go: results to standard output, everything else to standard error."""

from types import TracebackType
from typing import Any, Self

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


class JsonArray:
    """Gives a result as one JSON array, value by value, however many there are."""

    def __init__(self) -> None:
        """Begin without values."""
        self._number = 0

    def __enter__(self) -> Self:
        """Open the array."""
        click.echo("[", nl=False)
        return self

    def give(self, value: Any) -> None:
        """Give one value."""
        text = orjson.dumps(value).decode()
        click.echo(f"{',' if self._number else ''}\n  {text}", nl=False)
        self._number += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the array; after an error it stays open, so that nobody takes it for whole."""
        if error is None:
            click.echo("\n]" if self._number else "]")
