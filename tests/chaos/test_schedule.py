"""The promises as a whole: every kind of fault once, on real servers and processes."""

import sys
from pathlib import Path

import pytest

from benchmarks.rig.campaign import Plan, run
from benchmarks.rig.faults import kinds_here
from benchmarks.rig.report import text

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SEED = 2026
"""Fixed, so that a failure can be repeated; `benchmarks/chaos.py` draws others."""


async def test_nothing_is_lost_stale_or_twice(tmp_path: Path) -> None:
    """After all of it: rows are those of the newest files, and every counter is exact."""
    kinds = [kind for kind in kinds_here() if kind != "none"]
    plan = Plan(SEED, len(kinds), kinds, seconds_between=0.5, documents=40)

    def say(line: str) -> None:
        print(line, file=sys.stderr)  # noqa: T201 - pytest shows it when the test fails

    outcome = await run(plan, tmp_path, say)
    print(text(outcome))  # noqa: T201 - likewise
    assert outcome.good, f"{text(outcome)}\nagain: benchmarks/chaos.py --kills 30 --seed {SEED}"
    assert set(outcome.recoveries) == set(kinds)
