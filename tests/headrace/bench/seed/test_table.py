"""Tests of what the tutorial's table computes and prints."""

import pytest

from headrace.bench.seed.operation import Operation, WayName
from headrace.bench.seed.table import Cell, Table, text_of

TIMES = {
    Cell(Operation.ADD, 10, WayName.LOOP): [0.7, 0.5, 0.6],
    Cell(Operation.ADD, 10, WayName.GATHER): [0.1, 0.3, 0.2],
    Cell(Operation.ADD, 10, WayName.HEADRACE): [0.06, 0.05, 0.07],
    Cell(Operation.DELETE, 100, WayName.LOOP): [24.0],
    Cell(Operation.DELETE, 100, WayName.GATHER): [0.8],
    Cell(Operation.DELETE, 100, WayName.HEADRACE): [0.004],
}


def test_rows_are_medians_and_their_ratios_to_the_loop() -> None:
    """Each operation and count is compared with the loop of its own."""
    rows = {row.cell: row for row in Table(TIMES).rows()}
    assert list(rows) == list(TIMES)
    gather = rows[Cell(Operation.ADD, 10, WayName.GATHER)]
    assert (gather.seconds, gather.low, gather.high) == (0.2, 0.1, 0.3)
    assert gather.ratio == pytest.approx(3.0)
    assert rows[Cell(Operation.ADD, 10, WayName.LOOP)].ratio == 1.0
    assert rows[Cell(Operation.ADD, 10, WayName.HEADRACE)].ratio == pytest.approx(10.0)
    assert rows[Cell(Operation.DELETE, 100, WayName.HEADRACE)].ratio == pytest.approx(6_000)


def test_json_has_facts_and_one_object_a_cell() -> None:
    """A program finds each figure by name."""
    fields = Table(TIMES, {"command": "headrace bench seed", "server": {"version": "2"}}).as_dict()
    assert fields["command"] == "headrace bench seed"
    assert fields["server"] == {"version": "2"}
    assert fields["rows"][1] == {
        "operation": "add",
        "count": 10,
        "way": "asyncio.gather",
        "seconds": 0.2,
        "min_seconds": 0.1,
        "max_seconds": 0.3,
        "ratio_to_sync_loop": pytest.approx(3.0),
    }


def test_text_has_one_line_for_an_operation_and_count() -> None:
    """Seconds of three ways, and the ratio behind two of them; then the facts."""
    text = text_of(Table(TIMES, {"machine": {"cores": 2, "python": "3.11"}, "rounds": 3}))
    head, add, delete, *rest = text.splitlines()
    assert head.split() == ["operation", "count", "sync", "loop", "asyncio.gather", "headrace"]
    assert add.split() == ["add", "10", "0.600", "s", "0.200", "s", "3.0x", "0.060", "s", "10.0x"]
    expected = ["delete", "100", "24.000", "s", "0.800", "s", "30.0x", "0.004", "s", "6,000x"]
    assert delete.split() == expected
    assert len(add) == len(delete)
    assert "machine: cores 2, python 3.11" in rest
    assert "rounds: 3" in rest
