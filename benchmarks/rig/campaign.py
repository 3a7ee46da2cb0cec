"""A run: faults one after the other while documents change, then rest, then the judgement."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.rig.faults import FAULTS
from benchmarks.rig.judge import Judgement
from benchmarks.rig.rig import Rig, keep_changing, running_rig
from benchmarks.rig.schedule import Planned, schedule
from contract.tasks import end

DOCUMENTS = 60
_CHANGE_SECONDS = 0.25
_FIRST_SECONDS = 120.0
_RECOVERY_SECONDS = 120.0
"""What takes longer counts as never."""
_FAULT_SECONDS = 90.0
_LAST_SECONDS = 240.0
_REST_SECONDS = 120.0
_DONE_WITH_POISON = frozenset({0, 1})


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do.

    Attributes:
        seed: decides everything but the moments at which machine and faults meet.
        faults: how many.
        kinds: which.
        seconds_between: mean wait between a recovery and the next fault.
    """

    seed: int
    faults: int
    kinds: Sequence[str]
    seconds_between: float = 2.0
    documents: int = DOCUMENTS


@dataclass
class Outcome:
    """What came of it."""

    plan: Plan
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds from the end of each fault to the next finished batch, by kind."""
    judgement: Judgement = field(default_factory=Judgement)
    problems: list[str] = field(default_factory=list)
    """What was wrong apart from the judgement."""
    imports: dict[str, int] = field(default_factory=dict)
    ends: dict[str, dict[str, int]] = field(default_factory=dict)
    """Exit codes of programs that ended by themselves, by program."""
    changes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Tell whether nothing was lost, stale, twice, or counted wrong."""
        return self.judgement.good and not self.problems


async def run(plan: Plan, folder: Path, say: Callable[[str], None]) -> Outcome:
    """Run it.

    Args:
        plan: what to do.
        folder: an empty one, for data and logs.
        say: takes lines that tell how it goes.
    """
    outcome = Outcome(plan)
    begun = time.monotonic()
    seed = f"library/{plan.seed}"
    async with running_rig(folder, seed, plan.documents, say=say) as rig:
        try:
            rig.importer.start()
            await rig.tap.progress(_FIRST_SECONDS)
            async with _changing(rig, seed):
                await _disturb(rig, plan, outcome)
            await _come_to_rest(rig, outcome)
            outcome.judgement = await rig.judge()
        except TimeoutError as error:
            outcome.problems.append(f"not in time: {error}")
        outcome.problems += rig.violations
        programs = (*(place.program for place in rig.workers), rig.scheduler)
        outcome.ends = {p.name: {str(c): n for c, n in p.ends.items()} for p in programs}
        outcome.imports = {str(code): n for code, n in sorted(rig.importer.ends.items())}
        outcome.changes = dict(rig.library.changes)
    outcome.seconds = time.monotonic() - begun
    return outcome


@asynccontextmanager
async def _changing(rig: Rig, seed: str) -> AsyncIterator[None]:
    draw = random.Random(seed)  # noqa: S311 - no secret
    changing = asyncio.create_task(keep_changing(rig.library, draw, _CHANGE_SECONDS))
    try:
        yield
    finally:
        await end(changing)


async def _disturb(rig: Rig, plan: Plan, outcome: Outcome) -> None:
    for planned in schedule(plan.seed, plan.faults, plan.kinds, plan.seconds_between):
        await asyncio.sleep(planned.wait_seconds)
        try:
            seconds = await _one(rig, planned)
        except TimeoutError:
            problem = f"fault {planned.number} ({planned.kind}): no recovery"
            rig.say(problem)
            outcome.problems.append(problem)
            return
        outcome.recoveries[planned.kind].append(seconds)


async def _one(rig: Rig, planned: Planned) -> float:
    """Make one fault; returns the seconds from its end to the next finished batch."""
    draw = random.Random(planned.seed)  # noqa: S311 - no secret
    rig.say(f"fault {planned.number}: {planned.kind}")
    begun = time.monotonic()
    async with asyncio.timeout(_FAULT_SECONDS):
        await FAULTS[planned.kind](rig, draw)
    lasted = time.monotonic() - begun
    seconds = await rig.tap.progress(_RECOVERY_SECONDS)
    rig.say(f"fault {planned.number}: lasted {lasted:.1f} s, works again after {seconds:.1f} s")
    return seconds


async def _come_to_rest(rig: Rig, outcome: Outcome) -> None:
    """Let the last import end, import once more, and wait until nothing is left to do."""
    rig.say("faults are over")
    await rig.calm()
    try:
        async with asyncio.timeout(_LAST_SECONDS):
            await rig.importer.stop()
            code = await rig.importer.once()
    except TimeoutError:
        left = f"{len(rig.tap.unfinished)} batches are left"
        raise TimeoutError(f"no end of the import after {_LAST_SECONDS:g} s; {left}") from None
    if code not in _DONE_WITH_POISON:
        outcome.problems.append(f"the last import ended with {code}")
    try:
        await rig.rest(_REST_SECONDS)
    except TimeoutError:
        outcome.problems.append(f"not at rest after {_REST_SECONDS:g} s")
