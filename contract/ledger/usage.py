"""What embedding has used of each source on each day, and what producers have set aside."""

from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from contract.ledger.connection import text
from contract.ledger.scripts import script
from contract.names import Keys

DAY_SECONDS = 24 * 3600
_UNLIMITED = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Tokens that a job wants for documents before it promises them."""

    job: str
    source: str
    day: int
    """UTC, in days since 1970 (``day_of``)."""
    run: Sequence[str]
    """The jobs that share the run's budget, this one among them."""
    run_tokens: int | None
    """The most that they may use together; None: no limit."""
    day_tokens: int | None
    """The most that the source may use on the day, by all jobs; None: no limit."""
    costs: Sequence[int]
    """Tokens of each document, in the order in which they are to be promised."""
    through: bool = False
    """All batches of the job are finished: what they did not use is free again."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """What was set aside."""

    documents: int
    """So many, the first ones, may be promised."""
    run: int
    """Tokens that the run has used and set aside, without these."""
    today: int
    """Likewise the source on that day, by all jobs."""


class Usage:
    """The tokens of one collection; each step is atomic."""

    def __init__(self, redis: Redis, collection: str) -> None:
        """Use a client that the caller closes; nothing is sent yet."""
        self.redis = redis
        self.keys = Keys(collection)
        self._reserve = script(redis, "reserve")

    async def of_day(self, day: int) -> dict[str, int]:
        """Give the tokens that finished batches used on a day, by source, as workers told.

        Days are UTC by the clock of Redis, and are forgotten after a week.
        """
        found = await self.redis.hgetall(self.keys.usage(day))
        return {text(source): int(tokens) for source, tokens in found.items()}

    async def reserve(self, wanted: Reservation) -> Reserved:
        """Set tokens aside for as many documents as the budgets bear, the first ones.

        Repeated because its answer was lost, it sets them aside twice, until the job is
        through: a budget is then reached early, and never exceeded.
        """
        limits = (wanted.run_tokens, wanted.day_tokens)
        documents, run, today = await self._reserve(
            keys=[self.keys.reserved, self.keys.usage(wanted.day)],
            args=[
                wanted.job, wanted.source, wanted.day, self.keys.job(""), int(wanted.through),
                *(_UNLIMITED if limit is None else limit for limit in limits),
                len(wanted.run), *wanted.run, *wanted.costs,
            ],
        )  # fmt: skip
        return Reserved(int(documents), int(run), int(today))


def day_of(seconds: float) -> int:
    """Give the day (UTC, in days since 1970) of a time in seconds since 1970."""
    return int(seconds // DAY_SECONDS)
