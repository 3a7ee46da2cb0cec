"""Schedules and their runs, for a person and for ``--json``. Pure."""

import time
from typing import Any

import msgspec

from headrace.duration import duration_text
from headrace.schedules.book import Entry
from headrace.schedules.run import Run

_COUNTED = ("new", "changed", "deleted", "unchanged", "failed")


def moment(ms: int) -> str:
    """Write a time (UTC)."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(ms / 1000)) if ms else "-"


def shown(entry: Entry, now_ms: int) -> str:
    """Write when a schedule is due next."""
    due = entry.next_due_ms(now_ms)
    if not due:
        return "never: it is paused"
    return f"{moment(due)} UTC, in {duration_text(max(0, round((due - now_ms) / 1000)))}"


def entry_line(entry: Entry, last: Run | None, now_ms: int) -> str:
    """Write a schedule on one line."""
    schedule = entry.schedule
    ended = f"{last.state.value} {moment(last.due_ms)}" if last else "no run yet"
    return (
        f"{schedule.name}  {schedule.timetable.text()}  next {shown(entry, now_ms)}  "
        f"last {ended}  {schedule.path} -> {schedule.collection}"
    )


def entry_text(entry: Entry, now_ms: int) -> str:
    """Write all of a schedule."""
    schedule = entry.schedule
    lines = [
        schedule.name,
        f"  when        {schedule.timetable.text()}",
        f"  next        {shown(entry, now_ms)}",
        f"  path        {schedule.path}" + (f" ({schedule.glob})" if schedule.glob else ""),
        f"  collection  {schedule.collection}",
        f"  missed      {schedule.missed.value}",
        f"  overlap     {schedule.overlap.value}",
        f"  deletions   {schedule.deletions.value}",
    ]
    if schedule.max_tokens is not None:
        lines.append(f"  budget      {schedule.max_tokens} tokens a run")
    if schedule.max_cost is not None:
        lines.append(f"  budget      ${schedule.max_cost:g} a run")
    if schedule.declared_in:
        lines.append(f"  declared    in {schedule.declared_in}")
    if entry.active:
        lines.append(f"  under way   {entry.active}")
    if entry.queued:
        lines.append(f"  queued      {entry.queued}")
    return "\n".join(lines)


def run_line(run: Run) -> str:
    """Write a run on one line: due, how late it began, how it ended, what it did."""
    begun = f"+{(run.started_ms - run.due_ms) / 1000:.1f} s" if run.started_ms else ""
    took = f"{(run.finished_ms - run.started_ms) / 1000:.1f} s" if run.started_ms else ""
    if not run.finished_ms:
        took = ""
    counts = run.result.get("counts", {})
    did = ", ".join(
        f"{counts[key]} {what}" for what in _COUNTED if counts.get(key := f"documents_{what}")
    )
    cost = run.result.get("cost_usd")
    parts = [
        f"  {moment(run.due_ms)}  {run.state.value:<9} {begun:>8} {took:>8}",
        f"{run.slots} slots" if run.slots > 1 else "",
        did,
        f"{counts['tokens']} tokens" if counts.get("tokens") else "",
        f"${cost:.4f}" if cost else "",
        f"job {run.job}" if run.job else "",
        run.reason,
    ]
    return "  ".join(part for part in parts if part)


def entry_as_dict(entry: Entry, now_ms: int) -> dict[str, Any]:
    """Give a schedule with its state, for JSON; times are ms since the epoch."""
    fields: dict[str, Any] = msgspec.to_builtins(entry.schedule)
    return {
        **fields,
        "paused": entry.paused,
        "created_ms": entry.created_ms,
        "next_due_ms": entry.next_due_ms(now_ms),
        "active": entry.active,
        "queued": entry.queued,
    }
