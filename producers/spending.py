"""Spending: which documents may be promised before a budget of tokens is reached."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from contract.batch import Part
from contract.errors import DocumentError
from contract.ledger.jobs import Jobs
from contract.ledger.usage import Reservation, Reserved, Usage, day_of
from producers.document import Omission, Reason
from producers.drafting import Draft

POLL_SECONDS = 0.25

Read: TypeAlias = tuple[int, Draft | Omission]
"""A draft, or why there is none, behind the number of its reading."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The most tokens that may be embedded."""

    tokens: int
    setting: str
    """How a person gave it, as they would look for it: ``--max-tokens 1000``."""


@dataclass(slots=True)
class Budgets:
    """What one run may use, shared by its producers.

    Attributes:
        count: gives the tokens of a text as the model counts them; called in a thread.
        run: for all jobs of the run together.
        day: for each source, on a day (UTC), by all runs together.
        now: the time in seconds since 1970; tells the day.
        jobs: the jobs of the run so far.
    """

    count: Callable[[str], int]
    run: Budget | None = None
    day: Budget | None = None
    now: Callable[[], float] = time.time
    jobs: list[str] = field(default_factory=list)


def tokens_of(part: Part, count: Callable[[str], int]) -> int:
    """Count what embedding a whole document takes at the most: each text of it once."""
    return sum(map(count, {chunk.text for chunk in part.chunks}))


class Spending:
    """Sets tokens aside for documents of one job, before they are promised.

    A document counts with all its chunks until its batch is finished; then with what that used:
    less, where vectors were there already.

    Attributes:
        job: on whose behalf.
        is_short: what is left does not bear the next document, unless batches under way use
            less than was set aside for them; so all that was promised is to be published.
        held: why nothing more may be promised; empty as long as something may.
    """

    def __init__(
        self, usage: Usage, jobs: Jobs, budgets: Budgets | None, source: str, job: str
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            usage: of the collection.
            jobs: of the collection.
            budgets: of the run; None: it may use what it needs.
            source: whose day counts.
            job: on whose behalf.
        """
        self.job = job
        self.is_short = False
        self.held = ""
        self._usage = usage
        self._jobs = jobs
        self._budgets = budgets
        self._source = source
        if budgets is not None and job not in budgets.jobs:
            budgets.jobs.append(job)

    async def portions(self, drafted: Sequence[Read]) -> AsyncGenerator[Sequence[Read]]:
        """Give what may be promised, in order; ends early once a budget is reached.

        Before the next is asked for, what was given is to be promised, and all that was promised
        so far published: then the batches under way are waited for. A document that is larger
        than a whole budget is left out, and the others go on.
        """
        budgets = self._budgets
        if budgets is None or (budgets.run is None and budgets.day is None):
            yield drafted
            return
        weighed = await asyncio.to_thread(_weigh, drafted, budgets)
        through = False
        while weighed:
            reserved = await self._reserve(budgets, [cost for _, cost in weighed], through=through)
            if through and not reserved.documents:
                self.held = _reason(budgets, reserved, self._source, weighed[0][1])
                return
            portion, weighed = weighed[: reserved.documents], weighed[reserved.documents :]
            self.is_short = bool(weighed)
            yield [read for read, _ in portion]
            if weighed:
                await self._until_through(budgets)
                through = True
        self.is_short = False

    async def _reserve(self, budgets: Budgets, costs: Sequence[int], *, through: bool) -> Reserved:
        return await self._usage.reserve(
            Reservation(
                job=self.job,
                source=self._source,
                day=day_of(budgets.now()),
                run=budgets.jobs,
                run_tokens=None if budgets.run is None else budgets.run.tokens,
                day_tokens=None if budgets.day is None else budgets.day.tokens,
                costs=costs,
                through=through,
            )
        )

    async def _until_through(self, budgets: Budgets) -> None:
        """Wait until nothing of the run is under way, and say meanwhile that it lives."""
        while True:
            found = [await self._jobs.get(job) for job in budgets.jobs]
            if all(job is None or job.drained for job in found):
                return
            await self._jobs.report(self.job, {})
            await asyncio.sleep(POLL_SECONDS)


def _weigh(drafted: Sequence[Read], budgets: Budgets) -> list[tuple[Read, int]]:
    """Give the tokens of each document; those that no budget ever bears are left out."""
    most = min((b for b in (budgets.run, budgets.day) if b is not None), key=lambda b: b.tokens)
    weighed: list[tuple[Read, int]] = []
    for reading, item in drafted:
        cost = tokens_of(item.part, budgets.count) if isinstance(item, Draft) else 0
        if isinstance(item, Draft) and cost > most.tokens:
            error = DocumentError(
                Reason.OVER_BUDGET,
                f"it has {cost} tokens, more than the whole budget ({most.setting}): raise that",
            )
            omission = Omission.of(item.entry.key, item.entry.key_bytes, error)
            weighed.append(((reading, omission), 0))
        else:
            weighed.append(((reading, item), cost))
    return weighed


def _reason(budgets: Budgets, reserved: Reserved, source: str, cost: int) -> str:
    """Say which budget is reached, and how to go on."""
    run, day = budgets.run, budgets.day
    if run is not None and reserved.run + cost > run.tokens:
        return (
            f"the budget of this run ({run.setting}) is reached: {reserved.run} tokens are used, "
            f"the next document has {cost}. The same command goes on with it"
        )
    setting = day.setting if day is not None else ""
    return (
        f"the day's budget of source {source!r} ({setting}) is reached: {reserved.today} tokens "
        f"are used, the next document has {cost}. The same command goes on with it after "
        "midnight (UTC)"
    )
