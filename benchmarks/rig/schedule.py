"""Which fault comes when: drawn from a seed, all kinds equally often."""

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault of a run."""

    number: int
    kind: str
    wait_seconds: float
    """Before it begins, counted from the recovery from the one before."""
    seed: str
    """Of everything about it that is left to chance."""


def schedule(seed: int, number: int, kinds: Sequence[str], seconds_between: float) -> list[Planned]:
    """Draw a run: the same for the same arguments.

    Args:
        seed: any number.
        number: of faults.
        kinds: to choose from; each comes as often as the others, or once more.
        seconds_between: mean of the waits.
    """
    draw = random.Random(f"schedule/{seed}")  # noqa: S311 - no secret
    drawn: list[str] = []
    while len(drawn) < number:
        drawn += draw.sample(kinds, len(kinds))
    return [
        Planned(at, kind, draw.uniform(0, 2 * seconds_between), f"{seed}/{at}")
        for at, kind in enumerate(drawn[:number], 1)
    ]
