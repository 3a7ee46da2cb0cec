"""Promises of the folder that changes, and of the draw of faults."""

from pathlib import Path

from benchmarks.rig.faults import kinds_here
from benchmarks.rig.library import Library
from benchmarks.rig.schedule import schedule


def _texts(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*.md")}


def test_the_same_seed_makes_the_same_changes(tmp_path: Path) -> None:
    """Another seed makes others."""
    libraries = [
        Library(tmp_path / name, 10, seed) for name, seed in (("a", "1"), ("b", "1"), ("c", "2"))
    ]
    for library in libraries:
        for _ in range(100):
            library.change()
    one, same, other = (_texts(library.folder) for library in libraries)
    assert one == same != other
    assert len(libraries[0].changes) == 8, "every kind of change was made"
    assert 5 <= len(one) <= 15, "it neither grows nor shrinks without end"


def test_all_kinds_come_equally_often() -> None:
    """The same seed gives the same faults in the same order."""
    kinds = kinds_here()
    drawn = schedule(1, 3 * len(kinds), kinds, 1.0)
    assert {kind: sum(p.kind == kind for p in drawn) for kind in kinds} == dict.fromkeys(kinds, 3)
    assert schedule(1, 3 * len(kinds), kinds, 1.0) == drawn
    assert [p.kind for p in schedule(2, 50, kinds, 1.0)] != [p.kind for p in drawn[:50]]
