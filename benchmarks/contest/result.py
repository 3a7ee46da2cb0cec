"""What was measured of each way, and how it compares. Pure arithmetic."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.contest.ways import HEADRACE
from headrace.bench.figures import MICROSECONDS, Spread, spread


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one way that brought in every chunk; CPU is user and system time of the client.

    Attributes:
        chunks: brought in; fewer than there are if the way is sampled.
        rate: chunks/s without the start of processes; None if all were seen at once.
        whole_rate: chunks/s from the start of the command to its end; of a sample as if the call
            had gone on at its pace over all chunks.
        cpu_seconds: without the start of processes.
        start_cpu_seconds: the rest.
        requests: that the embedding endpoint got.
        server_cpu_seconds: of servers that run on this machine, over the whole run, by name.
    """

    chunks: int
    rate: float | None
    whole_rate: float
    cpu_seconds: float
    start_cpu_seconds: float
    requests: int
    server_cpu_seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def cpu_microseconds(self) -> float:
        """Client CPU in microseconds per chunk, without the start of processes."""
        return MICROSECONDS * self.cpu_seconds / self.chunks

    def as_dict(self) -> dict[str, Any]:
        """Give the fields, for JSON."""
        return {**asdict(self), "cpu_microseconds_per_chunk": self.cpu_microseconds}


Round = Mapping[str, Run]
"""The runs of one round, by name of the way; one that failed is missing."""


def whole_rate(chunks: int, of: int, seconds: float, call_seconds: float) -> float:
    """Give the chunks/s of a whole command over all chunks, from a run over some of them.

    Args:
        chunks: that were brought in.
        of: how many there are.
        seconds: from the start of the command to its end.
        call_seconds: the part of it that grows with the chunks.
    """
    return of / (seconds - call_seconds + call_seconds * of / chunks)


def rows_error(rows: int, chunks: int) -> str:
    """Say what is wrong with a number of rows found in Milvus; empty if it is right."""
    return "" if rows == chunks else f"{rows:,} rows in Milvus, not {chunks:,}"


def runs_of(rounds: Sequence[Round], name: str) -> list[Run]:
    """Give the runs of one way."""
    return [runs[name] for runs in rounds if name in runs]


def advantage(rounds: Sequence[Round], name: str, *, whole: bool) -> Spread | None:
    """Tell how many times as fast headrace was as a way, each round by itself.

    Args:
        rounds: all of them.
        name: of the way.
        whole: of whole commands, or without the start of processes.

    Returns:
        None if the two were never measured in the same round.
    """
    pairs = [(runs[HEADRACE], runs[name]) for runs in rounds if HEADRACE in runs and name in runs]
    if whole:
        return spread(ours.whole_rate / other.whole_rate for ours, other in pairs)
    return spread(
        ours.rate / other.rate if ours.rate and other.rate else None for ours, other in pairs
    )
