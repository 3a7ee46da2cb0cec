"""The budget of an embedding endpoint: requests and tokens a minute, shared by all workers.

It is kept in Redis, by one script that reserves a request with its tokens and tells how long to
wait: nobody asks twice. The rate-limiters on PyPI fall short: a weight of 2,000 tokens is 2,000
entries, or requests and tokens are two steps that race, or they are asked again and again.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from typing import Any

from redis.asyncio import Redis

from contract.names import PREFIX

SHARE = 0.985
"""Of the limit that is used: the other side's clock and count are its own."""
LONGEST_REQUEST_SECONDS = 10.0
ANSWER_SECONDS = 1.0
"""Within which Redis mostly says what became of a call that is given up."""
"""Of a minute's tokens, a request takes at most so many seconds' worth: others want a turn."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Limits of an endpoint; 0 where there is none, or none is known."""

    requests_per_minute: float = 0.0
    tokens_per_minute: float = 0.0

    def __bool__(self) -> bool:
        """Tell whether there is any."""
        return bool(self.requests_per_minute or self.tokens_per_minute)


class Budget:
    """What all workers together may send to one endpoint; for one event loop.

    Args:
        redis: where it is kept; the caller closes it.
        account: who shares it: the endpoint's address, the model, the key. Only a hash is kept.
        rates: limits that the user gave; for those that are 0 see ``learn``.
        on_wait: told the seconds of each wait, before it begins.
    """

    def __init__(
        self,
        redis: Redis,
        account: str,
        rates: Rates,
        on_wait: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._redis = redis
        self._key = f"{PREFIX}:budget:{sha256(account.encode()).hexdigest()[:16]}"
        self._given = rates
        self._on_wait = on_wait
        self._learned = Rates()
        self._was_refused = False
        self._turns = {True: asyncio.Lock(), False: asyncio.Lock()}
        self._unused_requests = 0
        self._unused_tokens = 0.0
        self._reserve = redis.register_script(_source("reserve"))
        self._pause = redis.register_script(_source("pause"))

    @property
    def rates(self) -> Rates:
        """The limits that are held: what the user gave, else what the endpoint told."""
        return Rates(
            self._given.requests_per_minute or self._learned.requests_per_minute,
            self._given.tokens_per_minute or self._learned.tokens_per_minute,
        )

    @property
    def most_tokens(self) -> float:
        """Tokens that one request should have at most."""
        per_second = self.rates.tokens_per_minute / 60
        return per_second * LONGEST_REQUEST_SECONDS or float("inf")

    def learn(self, rates: Rates) -> None:
        """Hear from the endpoint what its limits are."""
        if rates:
            self._learned = rates

    @contextlib.asynccontextmanager
    async def reserved(self, tokens: float, *, urgent: bool) -> AsyncIterator["Reservation"]:
        """Wait until a request may be sent, which is to be sent in the block.

        One request of a process waits at a time, and an urgent one beside it: so the requests
        of all processes take turns, however many each of them has.

        Raises:
            RedisError: Redis is away for longer than its client waits.
        """
        if self.rates or self._was_refused:
            async with self._turns[urgent]:
                await self._wait(tokens, urgent=urgent)
        reservation = Reservation(tokens)
        yield reservation
        self._unused_tokens += tokens - reservation.used

    async def refused(self, retry_after_seconds: float | None) -> None:
        """Hear that the endpoint wants less; a wait that it asks for holds for all workers."""
        self._was_refused = True
        if retry_after_seconds:
            await self._pause(keys=[self._key], args=[round(retry_after_seconds * 1000)])

    async def _wait(self, tokens: float, *, urgent: bool) -> None:
        rates = self.rates
        requests, self._unused_requests = self._unused_requests, 0
        unused, self._unused_tokens = self._unused_tokens, 0.0
        reserving = asyncio.ensure_future(
            self._reserve(
                keys=[self._key],
                args=[
                    *(rates.requests_per_minute * SHARE, rates.tokens_per_minute * SHARE),
                    *(1, tokens, int(urgent), requests, unused),
                ],
            )
        )
        try:
            wait_seconds = int(await asyncio.shield(reserving)) / 1000
            if wait_seconds:
                self._on_wait(wait_seconds)
            await asyncio.sleep(wait_seconds)
        except asyncio.CancelledError:
            # Cancelled in the middle of the call, it may be reserved all the same.
            await asyncio.wait([reserving], timeout=ANSWER_SECONDS)
            if reserving.done():
                self._give_back(reserving, tokens)
            else:
                reserving.add_done_callback(lambda call: self._give_back(call, tokens))
            raise

    def _give_back(self, call: "asyncio.Future[Any]", tokens: float) -> None:
        """Count what was reserved for nothing to the next reservation."""
        if not call.cancelled() and call.exception() is None:
            self._unused_requests += 1
            self._unused_tokens += tokens


@dataclass(slots=True)
class Reservation:
    """What a request was let through for.

    Attributes:
        used: tokens that it turned out to have; to be set once the endpoint has told.
    """

    used: float


def _source(name: str) -> str:
    return (resources.files("worker.embedding") / f"{name}.lua").read_text(encoding="utf-8")
