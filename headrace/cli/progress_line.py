"""Progress as a bar on a terminal, as a line now and then in a log."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from headrace.cli.output import say
from headrace.progress import Progress

PLAIN_SECONDS = 5.0
"""Between two lines where there is no terminal."""


class ProgressLine:
    """Shows progress on standard error while its block lasts."""

    def __init__(self) -> None:
        """Look whether standard error is a terminal."""
        self._console = Console(file=sys.stderr)
        self._bar: Bar | None = None
        self._said = time.monotonic()
        if self._console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(24),
                TextColumn("{task.fields[rest]}"),
            )
            self._bar = Bar(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task("listing", total=None, rest="")

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        if self._bar:
            self._bar.stop()

    def show(self, progress: Progress) -> None:
        """Show how far it is."""
        if self._bar:
            self._bar.update(
                self._task,
                description=_stage(progress),
                completed=progress.chunks_done,
                total=progress.chunks or None,
                rest=text_of(progress),
            )
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
    more = "+" if progress.listing else ""
    parts = [
        f"{progress.documents_done}/{progress.documents}{more} documents",
        f"{progress.chunks_done}/{progress.chunks}{more} chunks",
        f"{progress.chunks_per_second:.0f} chunks/s",
    ]
    if progress.eta_seconds is not None:
        parts.append(f"ETA {_clock(progress.eta_seconds)}")
    if progress.paused:
        parts.append("paused")
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if progress.trouble:
        parts.append(f"waiting: {progress.trouble[:80]}")
    return ", ".join(parts)


def _stage(progress: Progress) -> str:
    if progress.paused:
        return "paused"
    return "listing" if progress.listing else "ingesting"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
