"""The table: medians and ratios, for a person and as JSON. Pure arithmetic and text."""

import statistics
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.bench.seed.operation import Operation, WayName

METHOD = (
    "Seconds are medians of the rounds, ratios those of the sync loop's median to the other's. "
    "sync loop and asyncio.gather: langchain-milvus as it is, one document to a call; deletions "
    "by an expression, as in the tutorial. headrace: the pipeline's own writer, deletions by "
    "primary key, searches that arrive at once. Each way has a collection of its own with the "
    "same documents, was warmed up alike, and was looked after: rows are counted and hits "
    "compared after each run, outside of the time."
)
_NAME_WIDTH = 10
_COUNT_WIDTH = 6
_SECONDS_WIDTH = 12
_RATIO_WIDTH = 10


@dataclass(frozen=True, slots=True)
class Cell:
    """What is measured: one operation, so many times, in one way."""

    operation: Operation
    count: int
    way: WayName


@dataclass(frozen=True, slots=True)
class Row:
    """One cell's figures.

    Attributes:
        seconds: the median.
        low: fastest round.
        high: slowest round.
        ratio: how many times faster than the sync loop, by the medians.
    """

    cell: Cell
    seconds: float
    low: float
    high: float
    ratio: float

    def as_dict(self) -> dict[str, Any]:
        """Give the fields, for JSON."""
        return {
            "operation": self.cell.operation.value,
            "count": self.cell.count,
            "way": self.cell.way.value,
            "seconds": self.seconds,
            "min_seconds": self.low,
            "max_seconds": self.high,
            "ratio_to_sync_loop": self.ratio,
        }


@dataclass(frozen=True, slots=True)
class Table:
    """One measurement.

    Attributes:
        times: seconds of each cell, one for each round; the sync loop's are among them.
        facts: of machine, servers and libraries, by name, in the order in which to show them.
    """

    times: Mapping[Cell, Sequence[float]]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def rows(self) -> list[Row]:
        """Give the figures, in the order of the times."""
        return [
            Row(
                cell,
                seconds=statistics.median(seconds),
                low=min(seconds),
                high=max(seconds),
                ratio=self._loop_median(cell) / statistics.median(seconds),
            )
            for cell, seconds in self.times.items()
        ]

    def _loop_median(self, cell: Cell) -> float:
        return statistics.median(self.times[Cell(cell.operation, cell.count, WayName.LOOP)])

    def as_dict(self) -> dict[str, Any]:
        """Give everything, for JSON."""
        return {**self.facts, "method": METHOD, "rows": [row.as_dict() for row in self.rows()]}


def text_of(table: Table) -> str:
    """Write a table for a person: a line for each operation and count."""
    head = f"{'operation':<{_NAME_WIDTH}}{'count':>{_COUNT_WIDTH}}"
    head += f"{WayName.LOOP.value:>{_SECONDS_WIDTH}}"
    for way in (WayName.GATHER, WayName.HEADRACE):
        head += f"{way.value:>{_SECONDS_WIDTH + _RATIO_WIDTH}}"
    by_line: dict[tuple[Operation, int], dict[WayName, Row]] = {}
    for row in table.rows():
        by_line.setdefault((row.cell.operation, row.cell.count), {})[row.cell.way] = row
    lines = [head]
    for (operation, count), rows in by_line.items():
        line = f"{operation.value:<{_NAME_WIDTH}}{count:>{_COUNT_WIDTH},}"
        line += _seconds(rows[WayName.LOOP])
        for way in (WayName.GATHER, WayName.HEADRACE):
            line += _seconds(rows[way]) + f"{_ratio(rows[way].ratio):>{_RATIO_WIDTH}}"
        lines.append(line)
    facts = [f"{name}: {_fact(value)}" for name, value in table.facts.items()]
    return "\n".join([*lines, "", *facts, "", *textwrap.wrap(METHOD, 88)])


def _seconds(row: Row) -> str:
    return f"{f'{row.seconds:,.3f} s':>{_SECONDS_WIDTH}}"


def _ratio(ratio: float) -> str:
    return f"{ratio:,.0f}x" if ratio >= 100 else f"{ratio:.1f}x"  # noqa: PLR2004 - three digits


def _fact(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    return str(value)
