"""Figures of runs: rates, CPU per chunk, medians, ratios. Pure arithmetic."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

MICROSECONDS = 1e6


class Variant(StrEnum):
    """What is measured, in the order of the first round; every other round runs it backwards."""

    EMBED = "embed"
    """The embedding endpoint alone."""
    WRITE = "write"
    """Milvus alone: upserts of ready columns, in messages that were made before."""
    BARE = "bare"
    """Embed and ``aupsert`` by columns, nothing else."""
    IMPORT = "import"
    """``headrace import`` of the files that the same rows come from."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How many chunks were written at one moment.

    Attributes:
        seconds: on any clock that only goes forward.
        chunks: written by then.
    """

    seconds: float
    chunks: int


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one variant; CPU is user and system time of the client's processes.

    Attributes:
        chunks: written in all.
        rate: the steady rate in chunks/s; None if all chunks were seen written at once.
        cpu_seconds: spent on the chunks, from the end of the start-up to the last one written.
        start_seconds: from the start of the first process to the first chunk written.
        after_seconds: from the last chunk written to the end of the last process.
        start_cpu_seconds: spent on starting and stopping.
        cpu_seconds_by: ``cpu_seconds`` by kind of process.
        server_cpu_seconds: of servers that run on this machine, over the whole run, by name.
    """

    chunks: int
    rate: float | None
    cpu_seconds: float
    start_seconds: float
    after_seconds: float
    start_cpu_seconds: float
    cpu_seconds_by: Mapping[str, float] = field(default_factory=dict)
    server_cpu_seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def cpu_microseconds(self) -> float:
        """Client CPU, in microseconds per chunk."""
        return self.per_chunk(self.cpu_seconds)

    def per_chunk(self, cpu_seconds: float) -> float:
        """Give seconds of the whole run in microseconds per chunk."""
        return MICROSECONDS * cpu_seconds / self.chunks

    def as_dict(self) -> dict[str, Any]:
        """Give the fields, for JSON."""
        return {**asdict(self), "cpu_microseconds_per_chunk": self.cpu_microseconds}


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, lowest and highest of some figures."""

    median: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """Give the fields, for JSON."""
        return {"median": self.median, "min": self.low, "max": self.high}


Round = Mapping[Variant, Run]


def steady_rate(marks: Sequence[Mark], wave_chunks: int) -> float | None:
    """Give the rate from the end of the first wave to the last chunk written, in chunks/s.

    The batches that begin at the same time end at nearly the same time: counted from the first
    of them, the others of the first wave would seem to cost nothing.

    Args:
        marks: in the order of time.
        wave_chunks: how many chunks are in flight at once; where no more than a wave was
            written, the rate is that from the first to the last mark.

    Returns:
        None if all chunks were seen written at once.
    """
    if not marks:
        return None
    last = marks[-1]
    full = [mark for mark in marks if mark.chunks >= wave_chunks]
    first = full[0] if full and full[0].chunks < last.chunks else marks[0]
    if last.chunks <= first.chunks or last.seconds <= first.seconds:
        return None
    return (last.chunks - first.chunks) / (last.seconds - first.seconds)


def spread(values: Iterable[float | None]) -> Spread | None:
    """Sum figures up, leaving out those that are unknown; None if all are."""
    known = [value for value in values if value is not None]
    return Spread(statistics.median(known), min(known), max(known)) if known else None


def order(number: int) -> Sequence[Variant]:
    """Give the order of the variants in a round (from 0): every other one goes backwards.

    What drifts with time, like the heat of a processor, then falls on all of them alike.
    """
    variants = list(Variant)
    return variants if number % 2 == 0 else variants[::-1]


def ratios(rounds: Sequence[Round]) -> tuple[Spread | None, Spread | None]:
    """Compare import and bare limit: chunks/s, then CPU per chunk, each round by itself."""
    rates = [
        _quotient(runs[Variant.IMPORT].rate, runs[Variant.BARE].rate) for runs in rounds
    ]  # fmt: skip
    costs = [
        _quotient(runs[Variant.IMPORT].cpu_microseconds, runs[Variant.BARE].cpu_microseconds)
        for runs in rounds
    ]
    return spread(rates), spread(costs)


def _quotient(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None
