"""Promises of the overview on a terminal: it fits, and no number is ever cut."""

import io
import re
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from contract.ledger.records import Totals
from contract.ledger.survey import LaneState
from headrace.cli.job_bar import Lines, bar, fitted, flowed
from headrace.cli.overview_lines import frame, nothing_runs
from headrace.cli.progress_line import ProgressLine
from headrace.overview import DayUse, JobView, LaneView, Overview, Reason, Verdict, Wait
from headrace.progress import Progress

PROGRESS = Progress(
    documents_done=123_456, documents=1_234_567, chunks_done=7_654_321, chunks=98_765_432,
    failed=17, unchanged=0, listing=True, paused=False, chunks_per_second=4_321.4,
    eta_seconds=3_725.0, trouble="",
)  # fmt: skip
FIGURES = ["123,456", "1,234,567", "7,654,321", "98,765,432", "4,321", "1:02:05", "17"]

_MORE = (
    "docs",
    "日本語の文書",
    "a-name-of-a-source-that-is-far-longer-than-any-terminal-is-wide-" * 2,
)


def _job(source: str, state: str = "listing") -> JobView:
    from contract.ledger.jobs import JobState  # noqa: PLC0415

    return JobView("j", "shelf", source, JobState(state), 0, PROGRESS, "")


def _seen() -> Overview:
    wait = Wait("machine-with-a-long-name:4711:abcdef:", "milvus", "Milvus at x is away", 75.0)
    work = LaneState(waiting=1_234_567, resting=12, leased=16, parked=4_000, oldest_ms=7_500_000)
    return Overview(
        now_ms=1_800_000_000_000,
        reasons=(
            Reason(Verdict.TROUBLE, "1 worker waits for milvus"),
            Reason(Verdict.TROUBLE, "schedule nightly is overdue: is a scheduler running?"),
            Reason(Verdict.ATTENTION, "1,234 dead letters to look at"),
        ),
        chunks_per_second=4_321.4,
        documents_per_second=87.6,
        unfinished=Totals(1_238_595, 98_765_432, 1),
        oldest_seconds=7_500.0,
        lanes=(LaneView("live", 3, work), LaneView("bulk", None, work)),
        jobs=tuple(map(_job, _MORE)),
        workers=("a", "b"),
        producers=("c",),
        waits=(wait,) * 6,
        schedules=12,
        overdue=("nightly",),
        dead_letters=1_234,
        day_uses=(DayUse("shelf", "docs", 1_234_567, 2_000_000), DayUse("shelf", "web", 5, None)),
    )


def _rendered(width: int, *, height: int | None = None, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    console = Console(file=file, width=width, height=50, force_terminal=False)
    console.print(Lines(frame(_seen(), width, height)))
    file.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("width", [40, 41, 57, 80, 120, 200])
def test_it_fits_and_no_number_is_cut(width: int) -> None:
    """Every line has room, and every figure stands whole on one line, at any width."""
    lines = _rendered(width).splitlines()
    assert max(map(cell_len, lines)) <= width
    words = {word for line in lines for word in re.split(r"[^\d,:.]+", line)}
    assert words >= {*FIGURES, "1,238,595", "98,765,432", "4,000", "1,234"}
    # What is cut, with a mark, are names alone.
    assert not [line for line in lines if re.search(r"\d…", line)]


def test_what_stands_there() -> None:
    """At 80 columns, in full."""
    text = _rendered(80)
    for words in (
        "● trouble", "08:00:00 UTC", "- schedule nightly is overdue",
        "4,321 chunks/s · 88 documents/s",
        "1,234,567 waiting · 16 in hand · 12 to be tried again", "oldest 2 h 5 min", "2 workers",
        "1 producer worker · 12 schedules", "for milvus since 1 min 15 s", "... and 2 more",
        "docs: 1,234,567 of 2,000,000 tokens · web: 5 tokens", "headrace dead-letters list",
        "docs  listing", "7 %", "ETA 1:02:05", "17 failed",
    ):  # fmt: skip
        assert words in text, words


def test_jobs_that_find_no_room_are_counted() -> None:
    """A frame is never higher than the terminal, as far as jobs make it so."""
    whole = len(_rendered(120).splitlines())
    short = _rendered(120, height=whole - 1).splitlines()
    assert len(short) <= whole - 1
    assert short[-1] == "... and 1 more"
    assert "more" not in _rendered(120, height=whole).splitlines()[-1]


def test_a_terminal_that_knows_only_ascii() -> None:
    """Nothing breaks where the bar's characters are not known."""
    seen = replace(_seen(), jobs=(_job("docs"),))
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii", newline="")
    Console(file=file, width=80).print(Lines(frame(seen, 80)))
    file.flush()
    assert b"==>---" in raw.getvalue()


def test_an_outage_is_said_first() -> None:
    """With the time of what is shown below."""
    first, *rest = frame(_seen(), 80, None, "Redis at r:6379 does not answer")
    assert first.plain.startswith("● no answer since 08:00:00 UTC · Redis at r:6379")
    assert any("4,321 chunks/s" in line.plain for line in rest)
    waiting = nothing_runs("/srv/x/.headrace", "", 1_800_000_000, 40)
    assert "nothing is running in" in " ".join(line.plain for line in waiting)


def test_names_can_not_steer_the_terminal() -> None:
    """Escape codes and line breaks of a name or a message are blanks."""
    seen = replace(_seen(), jobs=(_job("a\x1b[31m\nb"),))
    text = "\n".join(line.plain for line in frame(seen, 80))
    assert "\x1b" not in text
    assert "a [31m b" in text


def test_the_bar_can_be_read_without_colours() -> None:
    """By its characters and its percentage, which is 100 only at the end."""
    assert bar(0.5, 26).plain == "━" * 10 + "╸" + "─" * 9 + "  50 %"
    assert bar(0.9999, 26).plain.endswith(" 99 %")
    assert bar(1.0, 26).plain == "━" * 20 + " 100 %"
    assert bar(None, 26).plain == "─" * 20


def test_flowing_and_fitting() -> None:
    """Parts stay whole where they can; wide characters count twice."""
    assert flowed(["aa", "bb", "cc"], 7) == ["aa · bb", "cc"]
    assert flowed(["a long part"], 6) == ["a long", "part"]
    assert fitted("日本語", 5) == "日本…"
    assert cell_len(fitted("日本語", 4)) == 4


def test_an_import_shows_the_same_figures_on_a_terminal() -> None:
    """In the lines of the overview, at any width; the cursor is there again at the end."""
    file = io.StringIO()
    console = Console(file=file, width=48, force_terminal=True, color_system=None)
    with ProgressLine(console) as line:
        line.show(PROGRESS)
        line.say("a line")
    shown = file.getvalue()
    for figure in FIGURES:
        assert figure in shown
    assert "a line\n" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
