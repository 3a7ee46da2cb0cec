"""Retrying as arithmetic: how long to wait before the next attempt, or to give up for now."""

import random
from dataclasses import dataclass

from contract.errors import CollectionGoneError, EmbeddingDeniedError, TransientError

MAX_ATTEMPTS = 5
"""So many failed attempts, with every server there, make a transient error of a batch permanent."""

_NOT_BY_REPEATING = (CollectionGoneError, EmbeddingDeniedError)
"""Opening the collection anew helps, which begins with the claim; or another key."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential back-off with full jitter.

    The jitter is that of M. Brooker, "Exponential Backoff And Jitter" (AWS, 2015): many
    workers that failed together do not come back together.
    """

    attempts: int = 5
    first_seconds: float = 0.5
    longest_seconds: float = 10.0

    def delay_seconds(
        self, error: TransientError, attempt: int, draw: random.Random
    ) -> float | None:
        """Give the wait before attempt ``attempt + 1``, or None to give up for now.

        Args:
            error: what went wrong; a wait that the other side asked for is obeyed, with a
                little jitter on top.
            attempt: how many attempts have failed, from 1.
            draw: source of the jitter.
        """
        if attempt >= self.attempts or isinstance(error, _NOT_BY_REPEATING):
            return None
        asked = error.retry_after_seconds
        if asked is not None:
            return asked * (1 + 0.1 * draw.random()) if asked <= self.longest_seconds else None
        bound = min(self.longest_seconds, self.first_seconds * 2.0 ** (attempt - 1))
        return bound * draw.random()

    def rest_seconds(self, error: TransientError, attempts: int) -> float:
        """Give how long a batch rests that was given back ``attempts`` times before."""
        asked = error.retry_after_seconds or 0.0
        return max(asked, min(60.0, 2.0 ** min(attempts, 6)))
