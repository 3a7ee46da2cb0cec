"""Schedules that are declared in ``headrace.toml``: made, changed and removed with that file.

::

    [schedules.handbook]
    path = "docs"                # relative to this file; or a URL
    cron = "0 3 * * *"           # or every = "15m"
    timezone = "Europe/Berlin"

Schedules that were made by hand, or declared in another file, are left alone.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from contract.config_file import SCHEDULES_TABLE, read_config
from contract.errors import SettingsError, UsageError
from headrace.duration import duration_seconds
from headrace.schedules.book import Book
from headrace.schedules.schedule import Schedule
from headrace.schedules.timetable import Timetable
from producers.web.address import is_url

logger = logging.getLogger(__name__)

_FIELDS = frozenset(
    {
        *("path", "collection", "source", "glob", "deletions", "missed", "overlap"),
        *("lane", "shards", "max_tokens", "max_cost"),
    }
)
_TIMES = frozenset({"cron", "every", "timezone", "jitter"})


def read_declared(path: Path, collection: str) -> dict[str, Schedule]:
    """Read the schedules of a file; none when there is no such file.

    Args:
        path: the file.
        collection: where documents go if nothing else is said.

    Raises:
        SettingsError: names everything that is wrong.
    """
    tables = read_config(path).get(SCHEDULES_TABLE, {})
    found, problems = {}, []
    for name, table in tables.items():
        try:
            found[name] = _schedule(name, table, path.absolute(), collection)
        except UsageError as error:
            problems.append(f"[{SCHEDULES_TABLE}.{name}] in {path}: {error}")
    if problems:
        raise SettingsError(tuple(problems))
    return found


def _schedule(name: str, table: Any, path: Path, collection: str) -> Schedule:
    if not isinstance(table, Mapping):
        raise UsageError("a table is expected")
    unknown = table.keys() - _FIELDS - _TIMES
    if unknown:
        raise UsageError(f"unknown: {', '.join(sorted(unknown))}")
    if "path" not in table:
        raise UsageError("path is missing")
    times = Timetable(
        cron=str(table.get("cron", "")),
        every_seconds=_seconds(table.get("every", 0)),
        timezone=str(table.get("timezone", "UTC")),
        jitter_seconds=_seconds(table.get("jitter", 0)),
    )
    fields = {"collection": collection, **{k: v for k, v in table.items() if k in _FIELDS}}
    fields |= {"name": name, "path": _path(path, str(table["path"]))}
    try:
        schedule = msgspec.convert(
            fields | {"timetable": times, "declared_in": str(path)}, Schedule
        )
    except msgspec.ValidationError as error:
        raise UsageError(str(error)) from error
    return schedule.checked()


def _path(file: Path, path: str) -> str:
    return path if is_url(path) else str(file.parent / path)


def _seconds(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return duration_seconds(str(value))


class Declared:
    """The schedules of one file, kept as the file has them."""

    def __init__(self, book: Book, path: Path, collection: str) -> None:
        """Prepare; nothing is read yet."""
        self._book = book
        self._path = path.absolute()
        self._collection = collection
        self._stamp: object = ()

    async def keep_up(self, now_ms: int) -> None:
        """Make, change and remove schedules if the file has changed since the last call.

        A file that has mistakes changes nothing; it is told of once.
        """
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        try:
            wanted = read_declared(self._path, self._collection)
        except SettingsError as error:
            logger.error(  # noqa: TRY400 - the message says it all
                "schedules of the file are left as they were",
                extra={"event": "declared_wrong", "error": str(error)},
            )
        else:
            for name in await take_over(self._book, self._path, wanted, now_ms):
                logger.error(
                    "a schedule of this name was not declared here: it is left as it is",
                    extra={"event": "declared_twice", "schedule": name},
                )
        self._stamp = stamp


async def take_over(
    book: Book, path: Path, wanted: Mapping[str, Schedule], now_ms: int
) -> Sequence[str]:
    """Bring the schedules that a file declares into the book, and remove those it has no more.

    Returns:
        Names that are taken by schedules that this file has not declared.
    """
    there = {entry.schedule.name: entry.schedule for entry in await book.entries()}
    taken = []
    for name, schedule in wanted.items():
        before = there.get(name)
        if before is not None and before.declared_in != schedule.declared_in:
            taken.append(name)
            continue
        await book.put(_anchored(schedule, before, now_ms), replace=True)
    for name, schedule in there.items():
        if schedule.declared_in == str(path) and name not in wanted:
            await book.remove(name)
    return taken


def _anchored(schedule: Schedule, before: Schedule | None, now_ms: int) -> Schedule:
    """Keep the slots of an interval that was there; those of a new one begin now."""
    times = schedule.timetable
    anchor = before.timetable.anchor_ms if before else now_ms
    same = msgspec.structs.replace(times, anchor_ms=anchor)
    if before is None or same != before.timetable:
        same = msgspec.structs.replace(times, anchor_ms=now_ms)
    return msgspec.structs.replace(schedule, timetable=same)


def _stamp(path: Path) -> object:
    try:
        state = path.stat()
    except OSError:
        return None
    return (state.st_mtime_ns, state.st_size, state.st_ino)
