"""Progress as a bar on a terminal, as a line now and then in a log."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from headrace.cli.job_bar import Lines, figures_of, job_lines
from headrace.cli.output import say
from headrace.progress import Progress

PLAIN_SECONDS = 5.0
"""Between two lines where there is no terminal."""


class ProgressLine:
    """Shows progress on standard error while its block lasts."""

    def __init__(self, console: Console | None = None) -> None:
        """Look whether standard error, or the console that is given, is a terminal."""
        self._console = console or Console(file=sys.stderr)
        self._live: Live | None = None
        self._said = time.monotonic()
        if self._console.is_terminal:
            self._live = Live(console=self._console, transient=True, auto_refresh=False)

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        if self._live:
            self._live.stop()

    def show(self, progress: Progress) -> None:
        """Show how far it is."""
        if self._live:
            lines = job_lines(_stage(progress), progress, self._console.width)
            self._live.update(Lines(lines), refresh=True)
        elif time.monotonic() - self._said >= PLAIN_SECONDS:
            self._said = time.monotonic()
            self._console.print(text_of(progress), highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        """Show a line above the bar."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class WorkLine:
    """Tells now and then how far work is that takes longer; nothing while there is none."""

    def __init__(self) -> None:
        """Begin without work."""
        self._told = time.monotonic()

    def show(self, progress: Progress) -> None:
        """Take note of how far it is."""
        if progress.documents_done >= progress.documents:
            self._told = time.monotonic()
        elif time.monotonic() - self._told >= PLAIN_SECONDS:
            self._told = time.monotonic()
            say(text_of(progress))


def text_of(progress: Progress) -> str:
    """Write progress on one line."""
    return ", ".join(figures_of(progress))


def _stage(progress: Progress) -> str:
    if progress.paused:
        return "paused"
    return "listing" if progress.listing else "ingesting"
