"""Says what came of a run, for a person or as JSON."""

import statistics
from typing import Any

from benchmarks.rig.campaign import Outcome


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """Give everything, for JSON."""
    judgement = outcome.judgement
    return {
        "seed": outcome.plan.seed,
        "faults": sum(map(len, outcome.recoveries.values())),
        "good": outcome.good,
        "seconds": round(outcome.seconds, 1),
        "recovery_seconds": {
            kind: {
                "faults": len(seconds),
                "median": round(statistics.median(seconds), 2),
                "worst": round(max(seconds), 2),
            }
            for kind, seconds in sorted(outcome.recoveries.items())
        },
        "lost": judgement.lost,
        "duplicates": judgement.duplicates,
        "stale": judgement.stale,
        "differences": judgement.differences,
        "problems": outcome.problems,
        "counters": judgement.facts,
        "imports_by_exit_code": outcome.imports,
        "ends_by_exit_code": outcome.ends,
        "changes": outcome.changes,
    }


def text(outcome: Outcome) -> str:
    """Give the tables."""
    found = as_dict(outcome)
    lines = [f"{'fault':<20}{'times':>6}{'median s':>10}{'worst s':>10}   (until it works again)"]
    for kind, row in found["recovery_seconds"].items():
        lines.append(f"{kind:<20}{row['faults']:>6}{row['median']:>10.2f}{row['worst']:>10.2f}")
    lines += [
        f"{'all':<20}{found['faults']:>6}",
        "",
        *(f"{name:<28}{found[name]:>10}" for name in ("lost", "duplicates", "stale")),
        *(f"{name:<28}{number:>10}" for name, number in found["counters"].items()),
        "",
        f"changes: {_pairs(found['changes'])}",
        f"imports by exit code: {_pairs(found['imports_by_exit_code'])}",
        *(
            f"{name} ended by itself, by exit code: {_pairs(codes)}"
            for name, codes in found["ends_by_exit_code"].items()
            if codes
        ),
        f"{outcome.seconds:.0f} s, seed {outcome.plan.seed}",
    ]
    wrong = [*found["problems"], *found["differences"]]
    lines += ["", *(f"WRONG: {problem}" for problem in wrong)] if wrong else ["", "nothing wrong"]
    return "\n".join(lines)


def _pairs(counts: dict[str, int]) -> str:
    return ", ".join(f"{name}: {number}" for name, number in sorted(counts.items())) or "none"
