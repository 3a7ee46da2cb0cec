"""What happened to a batch, as a value; ``metrics`` turns it into samples."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from opentelemetry.trace import get_current_span

from contract.lane import Lane
from contract.tracing import span

HALTED = "halted"
"""Reason of a batch that was dropped because its job was paused or cancelled."""


class Outcome(StrEnum):
    """How a worker's dealings with a batch ended."""

    FINISHED = "finished"
    DROPPED = "dropped"
    """A copy of a message, or someone else's batch."""
    LOST = "lost"
    """The lease ended first; someone else has it."""
    GIVEN_BACK = "given_back"
    """It failed for now and will be tried again."""
    SPLIT = "split"
    """Workers died of it: two smaller batches have taken its place."""


class Stage(StrEnum):
    """What a worker does with a batch."""

    READ = "read"
    EMBED = "embed"
    WRITE = "write"
    DELETE = "delete"
    COMMIT = "commit"


@dataclass(frozen=True, slots=True)
class Ingested:
    """What happened to one batch."""

    outcome: Outcome
    reason: str = ""
    chunks: int = 0
    reused: int = 0
    """Of the chunks, those whose vectors were read back instead of made."""
    documents: int = 0
    """Documents that became searchable with this batch."""
    dead: tuple[str, ...] = ()
    """For each dead part the name of the error."""
    isolated: bool = False
    """Whether workers had died of it before, so that it was run alone or split."""
    tokens: int = 0
    cache_hits: int = 0
    """Texts whose vectors came from the cache."""
    cache_misses: int = 0
    tokens_saved: int = 0
    text_bytes: int = 0
    seconds: Mapping[Stage, float] = field(default_factory=dict)
    retries: Mapping[tuple[Stage, str], int] = field(default_factory=dict)
    throttled_seconds: float = 0.0
    """Waits that the embedding endpoint asked for."""
    lane: Lane | None = None
    """None of what was not claimed."""
    waited_seconds: float | None = None
    """For which it could have been claimed, where that is known."""
    age_seconds: float | None = None
    """From its publication until it was struck off; None where it was not, or that is not known."""


class Stopwatch:
    """Adds up the time of each stage, counts its retries, and tells how old the batch is."""

    def __init__(
        self, now: Callable[[], float] = time.monotonic, age_ms: int | None = None
    ) -> None:
        """Use a clock that does not jump, for a batch that is so old now."""
        self._now = now
        self._published = None if age_ms is None else now() - age_ms / 1000
        self.throttled_seconds = 0.0
        self.seconds: dict[Stage, float] = {}
        self.retries: Counter[tuple[Stage, str]] = Counter()

    @property
    def age_seconds(self) -> float | None:
        """How long ago the batch was published; None where that is not known."""
        return None if self._published is None else self._now() - self._published

    @contextlib.contextmanager
    def measured(self, stage: Stage) -> Iterator[None]:
        """Add the time of the block to a stage, also when it fails."""
        begun = self._now()
        try:
            with span(stage.value):
                yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + self._now() - begun

    def count_retry(self, stage: Stage, reason: str) -> None:
        """Count one failed attempt of a stage."""
        self.retries[stage, reason] += 1
        get_current_span().add_event("retry", {"headrace.reason": reason})
