"""How far a job is, as a bar and figures that fit the width of a terminal.

Only whole figures are moved to the next line, so that no number is ever cut.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from headrace.progress import Progress

LONGEST_TROUBLE: Final = 80
BAR_CELLS: Final = 40
BETWEEN: Final = " · "
_ASCII: Final = str.maketrans({"━": "=", "╸": ">", "─": "-", "·": "|", "●": "*", "…": "~"})


class Lines:
    """Lines of a frame; where the terminal knows only ASCII, in ASCII."""

    def __init__(self, lines: Sequence[Text]) -> None:
        """Take lines that fit."""
        self.lines = lines

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        """Give them as they are."""
        for line in self.lines:
            shown = line.copy()
            if options.ascii_only:
                shown.plain = shown.plain.translate(_ASCII)
            shown.no_wrap, shown.overflow = True, "ellipsis"
            yield shown


def figures_of(progress: Progress, *, grouped: bool = False) -> list[str]:
    """Write progress as figures, each with its unit; ``grouped`` by thousands."""
    comma = "," if grouped else ""
    more = "+" if progress.listing else ""
    parts = [
        f"{progress.documents_done:{comma}}/{progress.documents:{comma}}{more} documents",
        f"{progress.chunks_done:{comma}}/{progress.chunks:{comma}}{more} chunks",
        f"{progress.chunks_per_second:{comma}.0f} chunks/s",
    ]
    if progress.eta_seconds is not None:
        parts.append(f"ETA {clock(progress.eta_seconds)}")
    if progress.paused:
        parts.append("paused")
    if progress.failed:
        parts.append(f"{progress.failed:{comma}} failed")
    if progress.trouble:
        parts.append(f"waiting: {progress.trouble[:LONGEST_TROUBLE]}")
    return parts


def bar(share: float | None, cells: int) -> Text:
    """Draw a share of 1 with its percentage; it can be read without colours."""
    width = cells - 6
    if share is None:
        return Text().append("─" * width, "bright_black")
    full = int(share * width)
    done = "━" * full + ("╸" if share > 0 and full < width else "")
    drawn = Text().append(done, "green" if share >= 1 else "cyan")
    drawn.append("─" * (width - len(done)), "bright_black")
    drawn.append(f" {int(share * 100):>3} %")
    return drawn


def job_lines(title: str, progress: Progress, width: int, indent: int = 0) -> list[Text]:
    """Write a title with a bar, and the figures below it, within ``width`` cells."""
    drawn = bar(progress.share, min(BAR_CELLS, max(width - indent, 16)))
    room = width - indent - cell_len(drawn.plain) - 2
    head = Text(" " * indent)
    if cell_len(title) <= room:
        head.append(title.ljust(len(title) + room - cell_len(title)), style="bold")
        lines = [head.append("  ").append_text(drawn)]
    else:
        head.append(fitted(title, width - indent), style="bold")
        lines = [head, Text(" " * indent).append_text(drawn)]
    figures = figures_of(progress, grouped=True)
    below = indent + 2
    lines += [Text(" " * below + line) for line in flowed(figures, width - below)]
    return lines


def flowed(parts: Iterable[str], width: int, between: str = BETWEEN) -> list[str]:
    """Put parts on lines of at most ``width`` cells; a part that is longer breaks at blanks."""
    lines: list[str] = []
    for part in parts:
        if lines and cell_len(lines[-1] + between + part) <= width:
            lines[-1] += between + part
        else:
            lines += _broken(part, width)
    return lines


def fitted(words: str, width: int) -> str:
    """Cut a name to at most ``width`` cells, never within a number of it."""
    plain = printable(words)
    if cell_len(plain) <= width:
        return plain
    kept = set_cell_size(plain, max(width - 1, 0))
    if plain[len(kept) : len(kept) + 1].isdigit():
        kept = kept.rstrip("0123456789") or kept
    return kept + "…"


def printable(words: str) -> str:
    """Leave out what would steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in words)


def clock(seconds: float) -> str:
    """Write a time that is left: ``0:07``, ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _broken(part: str, width: int) -> list[str]:
    lines: list[str] = []
    for word in printable(part).split(" "):
        if lines and cell_len(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(fitted(word, width))
    return lines
