"""``headrace status --watch``: the overview again and again, through outages, until Ctrl-C."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import orjson
from rich.console import Console
from rich.live import Live

from contract.errors import TransientError, UnreachableError
from contract.settings import Settings
from headrace.cli.job_bar import Lines
from headrace.cli.overview_lines import frame, nothing_runs
from headrace.looks import Looks
from headrace.overview import Overview, overview_as_dict
from headrace.session import running_session
from headrace.status import LOOKED_AT_JOBS, Status, status_of

PIPED_CELLS: Final = 120
"""A line where there is no terminal whose width would count."""
FIRST_SECONDS: Final = 0.5
"""Until the second look: there is no rate before."""


class Screen:
    """Shows frames: one over the other on a terminal, one after the other elsewhere."""

    def __init__(self, console: Console, *, as_json: bool) -> None:
        """Look what is to be written to."""
        self._console = console
        self._as_json = as_json
        self._live: Live | None = None
        if console.is_terminal and not as_json:
            self._live = Live(console=console, auto_refresh=False)

    def shown(self) -> AbstractContextManager[object]:
        """Show while the block lasts; the cursor is there again at its end."""
        return self._live or nullcontext()

    def show(self, seen: Overview, outage: str) -> None:
        """Show an overview; ``outage`` says why nothing newer is known."""
        if self._as_json:
            self._print({"running": True, "outage": outage, **overview_as_dict(seen)})
        elif self._live:
            size = self._console.size
            self._live.update(Lines(frame(seen, size.width, size.height - 1, outage)), refresh=True)
        else:
            lines = frame(seen, PIPED_CELLS, None, outage)
            self._write("\n".join(line.plain.rstrip() for line in lines) + "\n")

    def show_nothing(self, where: str, outage: str) -> None:
        """Show that there is nothing to show."""
        if self._as_json:
            self._print({"running": False, "outage": outage})
            return
        width = self._console.width if self._live else PIPED_CELLS
        lines = nothing_runs(where, outage, time.time(), width)
        if self._live:
            self._live.update(Lines(lines), refresh=True)
        else:
            self._write("\n".join(line.plain for line in lines))

    def _print(self, value: Any) -> None:
        self._write(orjson.dumps(value).decode())

    def _write(self, words: str) -> None:
        self._console.file.write(words + "\n")
        self._console.file.flush()


def watch_status(settings: Settings, seconds: float, *, as_json: bool) -> None:
    """Show the status every so many seconds until Ctrl-C, or nobody reads it any more.

    Raises:
        UsageError: the configuration is incomplete, or Redis refuses the credentials.
    """
    screen = Screen(Console(), as_json=as_json)
    looks = Looks(settings.source_tokens_per_day)
    try:
        with screen.shown():
            asyncio.run(_watch(settings, seconds, screen, looks.add))
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # What Python flushes at its end must not fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _watch(
    settings: Settings, seconds: float, screen: Screen, look: Callable[[Status], Overview]
) -> None:
    where = str(settings.data_folder.absolute())
    seen: Overview | None = None
    has_rate = False
    while True:
        begun = time.monotonic()
        outage = ""
        try:
            session = running_session(settings)
            if session is None:
                seen = None
            else:
                seen = look(await status_of(session.settings, jobs=LOOKED_AT_JOBS))
        except (TransientError, UnreachableError) as error:
            outage = str(error)
        if seen is None:
            screen.show_nothing(where, outage)
        else:
            screen.show(seen, outage)
        rest = seconds if has_rate else min(seconds, FIRST_SECONDS)
        has_rate = seen is not None
        await asyncio.sleep(max(0.0, begun + rest - time.monotonic()))
