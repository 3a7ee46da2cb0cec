"""An overview as lines of a terminal, at any width. Pure."""

import time
from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text

from contract.ledger.jobs import JobState
from headrace.amounts import age_text, counted
from headrace.cli.job_bar import fitted, flowed, job_lines
from headrace.overview import JobView, LaneView, Overview, Verdict

_LABEL_CELLS: Final = 12
_MOST_NAMED: Final = 4
_STYLES: Final = {
    Verdict.FINE: "bold green",
    Verdict.ATTENTION: "bold yellow",
    Verdict.TROUBLE: "bold red",
}
_NARROW: Final = 60


def frame(seen: Overview, width: int, height: int | None = None, outage: str = "") -> list[Text]:
    """Write an overview.

    Args:
        seen: what to write.
        width: cells of a line; none is longer.
        height: most lines, at the cost of jobs; None: no limit.
        outage: why nothing newer is known; empty when all is well.
    """
    lines = [*_heading(seen, width, outage), Text()]
    for label, parts in _rows(seen):
        lines += _labelled(label, parts, width)
    several = len({job.collection for job in seen.jobs}) > 1
    if seen.jobs:
        lines.append(Text())
    for at, job in enumerate(seen.jobs):
        left = len(seen.jobs) - at
        block = _job(job, width, several=several)
        spare = 1 if left > 1 else 0  # for the line about those that found no room
        if height is not None and len(lines) + len(block) + spare > height:
            lines.append(Text(f"... and {left:,} more", style="bright_black"))
            break
        lines += block
    return lines


def nothing_runs(where: str, outage: str, now: float, width: int) -> list[Text]:
    """Say that there is nothing to show: no servers run, or Redis has not answered yet.

    Args:
        where: the folder whose embedded servers would be asked.
        outage: why nothing is known; empty when no servers run.
        now: seconds since 1970.
        width: cells of a line.
    """
    why = outage or f"nothing is running in {where}"
    lines = flowed([f"● {_at(now * 1000)}", why, "waiting"], width)
    return [Text(line, style="bold red" if outage else "") for line in lines]


def _heading(seen: Overview, width: int, outage: str) -> Iterator[Text]:
    if outage:
        said = [f"● no answer since {_at(seen.now_ms)}", outage, "below is how it was then"]
        yield from (Text(line, style="bold red") for line in flowed(said, width))
        return
    style = _STYLES[seen.verdict]
    title = f"● {seen.verdict.value}"
    at = _at(seen.now_ms)
    yield Text().append(title, style).append(at.rjust(width - len(title)), style="bright_black")
    if not seen.reasons:
        yield from (Text(line) for line in flowed([f"  {seen.sentence}"], width))
    for reason in seen.reasons:
        first, *rest = flowed([reason.text], width - 4)
        yield Text().append("  - ", _STYLES[reason.verdict]).append(first)
        yield from (Text(f"    {line}") for line in rest)


def _rows(seen: Overview) -> Iterator[tuple[str, Sequence[str]]]:
    yield (
        "throughput",
        [
            f"{seen.chunks_per_second:,.0f} chunks/s",
            f"{seen.documents_per_second:,.0f} documents/s",
        ],
    )
    unfinished = [
        counted(seen.unfinished.batches, "batch"),
        counted(seen.unfinished.chunks, "chunk"),
    ]
    if seen.oldest_seconds:
        unfinished.append(f"oldest {age_text(seen.oldest_seconds)}")
    yield "unfinished", unfinished
    yield from map(_lane_row, seen.lanes)
    people = [counted(len(seen.workers), "worker")]
    if seen.producers or seen.schedules:
        people.append(counted(len(seen.producers), "producer worker"))
        people.append(counted(seen.schedules, "schedule"))
    yield "processes", people
    for wait in seen.waits[:_MOST_NAMED]:
        said = f"for {wait.dependency} since {age_text(wait.seconds)}"
        yield "waits", [wait.worker, said, wait.reason]
    if len(seen.waits) > _MOST_NAMED:
        yield "", [f"... and {len(seen.waits) - _MOST_NAMED:,} more"]
    uses = sorted(seen.day_uses, key=lambda use: -use.tokens)
    if uses:
        yield (
            "today",
            [
                f"{use.source}: {use.tokens:,} {f'of {use.limit:,} ' if use.limit else ''}tokens"
                for use in uses[:_MOST_NAMED]
            ],
        )
    if seen.dead_letters:
        yield (
            "left out",
            [f"{counted(seen.dead_letters, 'dead letter')}", "headrace dead-letters list"],
        )


def _lane_row(lane: LaneView) -> tuple[str, Sequence[str]]:
    work = lane.work
    parts = [f"{work.waiting:,} waiting", f"{work.leased:,} in hand"]
    if work.resting:
        parts.append(f"{work.resting:,} to be tried again")
    if work.parked:
        parts.append(f"{work.parked:,} paused")
    if lane.messages is not None:
        parts.append(f"{counted(lane.messages, 'message')} queued")
    if work.oldest_ms:
        parts.append(f"oldest {age_text(work.oldest_ms / 1000)}")
    return f"lane {lane.name}", parts


def _labelled(label: str, parts: Sequence[str], width: int) -> Iterator[Text]:
    indent = _LABEL_CELLS if width >= 2 * _LABEL_CELLS else 2
    lines = flowed(parts, width - indent)
    yield Text().append(label.ljust(indent)[:indent], "bright_black").append(lines[0])
    yield from (Text(" " * indent + line) for line in lines[1:])


def _job(job: JobView, width: int, *, several: bool) -> list[Text]:
    """Write a job; with its collection if there are several, and room."""
    names = f"{job.source} in {job.collection}" if several and width > _NARROW else job.source
    title = fitted(f"{names}  {job.state.value}", width)
    if job.state is JobState.DONE:
        first, *rest = flowed([title, *_done(job)], width)
        lines = [Text().append(title, "bold").append(first[len(title) :])]
        return lines + [Text(f"  {line}") for line in flowed(rest, width - 2)]
    lines = job_lines(title, job.progress, width)
    if job.held:
        lines += [Text(f"  {line}") for line in flowed([f"held: {job.held}"], width - 2)]
    return lines


def _done(job: JobView) -> list[str]:
    progress = job.progress
    parts = [f"{progress.documents:,} documents", f"{progress.chunks_done:,} chunks"]
    if progress.unchanged:
        parts.append(f"{progress.unchanged:,} unchanged")
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    return parts


def _at(moment_ms: float) -> str:
    return time.strftime("%H:%M:%S UTC", time.gmtime(moment_ms / 1000))
