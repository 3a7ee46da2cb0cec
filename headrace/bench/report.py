"""What a measurement of the limits says: a table for a person, fields for JSON."""

import statistics
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.bench.figures import Round, Run, Spread, Variant, ratios, spread

LABELS = {
    Variant.EMBED: "embed alone",
    Variant.WRITE: "write ready columns",
    Variant.BARE: "embed + aupsert",
    Variant.IMPORT: "headrace import",
}
METHOD = (
    "chunks/s: from the end of the first wave (the batches that begin together) to the last chunk; "
    "of the import by its job's counters in Redis, read every 50 ms, of the others by "
    "their own clock. CPU: user and system time of the client's processes (for the import the "
    "command and its workers), for all chunks, without start-up. Ratios: each round by itself."
)

_NAME_WIDTH = 20
_MEDIAN_WIDTH = 10
_RANGE_WIDTH = 17


@dataclass(frozen=True, slots=True)
class Report:
    """One measurement.

    Attributes:
        servers: ``embedded``, or the address of Milvus.
        documents: how many had chunks.
        chunks: in all of them.
        dimensions: of a vector.
        latency_seconds: of the embedding endpoint.
        batch_chunks: most chunks in a batch.
        in_flight: batches at the same time, in the bare loop and in each worker.
        workers: worker processes of the import.
        cores: of this machine.
        load: its load average of one minute before and after the rounds.
        start_seconds: of the servers and of the preparation (endpoint, documents, cutting).
        rounds: the runs, round by round.
    """

    servers: str
    documents: int
    chunks: int
    dimensions: int
    latency_seconds: float
    batch_chunks: int
    in_flight: int
    workers: int
    cores: int
    load: tuple[float, float]
    start_seconds: Mapping[str, float]
    rounds: tuple[Round, ...]

    def runs(self, variant: Variant) -> list[Run]:
        """Give the runs of one variant."""
        return [runs[variant] for runs in self.rounds]

    def as_dict(self) -> dict[str, Any]:
        """Give everything, for JSON."""
        rate, cost = ratios(self.rounds)
        facts = (
            *("servers", "documents", "chunks", "dimensions", "latency_seconds", "batch_chunks"),
            *("in_flight", "workers", "cores"),
        )
        return {
            **{name: getattr(self, name) for name in facts},
            "load": {"before": self.load[0], "after": self.load[1]},
            "start_seconds": dict(self.start_seconds),
            "method": METHOD,
            "variants": {variant.value: self._summary(variant) for variant in Variant},
            "import_to_bare": {
                "chunks_per_second": _fields(rate),
                "cpu_per_chunk": _fields(cost),
            },
            "rounds": [
                {variant.value: run.as_dict() for variant, run in runs.items()}
                for runs in self.rounds
            ],
        }

    def _summary(self, variant: Variant) -> dict[str, Any]:
        runs = self.runs(variant)
        return {
            "chunks_per_second": _fields(spread(run.rate for run in runs)),
            "cpu_microseconds_per_chunk": _fields(spread(run.cpu_microseconds for run in runs)),
            "cpu_microseconds_per_chunk_by": _by_name(runs, lambda run: run.cpu_seconds_by),
            "server_cpu_microseconds_per_chunk": _by_name(runs, lambda run: run.server_cpu_seconds),
            "start_seconds": _fields(spread(run.start_seconds for run in runs)),
            "after_seconds": _fields(spread(run.after_seconds for run in runs)),
            "start_cpu_seconds": _fields(spread(run.start_cpu_seconds for run in runs)),
        }


def text_of(report: Report) -> str:
    """Write a report for a person."""
    rate, cost = ratios(report.rounds)
    lines = [
        *_facts(report),
        "",
        _row("", ("chunks/s", ""), ("CPU us/chunk", "")),
        _row("", ("median", "min - max"), ("median", "min - max")),
    ]
    for variant in Variant:
        runs = report.runs(variant)
        lines.append(
            _row(
                LABELS[variant],
                _cells(spread(run.rate for run in runs)),
                _cells(spread(run.cpu_microseconds for run in runs)),
            )
        )
        for name, item in _spreads_by_name(runs, lambda run: run.cpu_seconds_by).items():
            lines.append(_row(f"  its {name}", ("", ""), _cells(item)))
    lines.append(_row("import / bare", _cells(rate, "{:.2f}"), _cells(cost, "{:.2f}")))
    lines += ["", *_apart(report), "", *textwrap.wrap(METHOD, 88)]
    return "\n".join(line.rstrip() for line in lines)


def _facts(report: Report) -> tuple[str, ...]:
    before, after = report.load
    return (
        (
            f"{report.documents:,} documents, {report.chunks:,} chunks, "
            f"{report.dimensions} dimensions, {len(report.rounds)} rounds; "
            f"endpoint latency {report.latency_seconds:g} s"
        ),
        (
            f"Milvus: {report.servers}; {report.in_flight} batches of {report.batch_chunks} in "
            f"flight; worker processes: {report.workers}"
        ),
        f"load of the {report.cores} cores: {before:.1f} before, {after:.1f} after",
    )


def _apart(report: Report) -> list[str]:
    """Say what is not in the figures above, as medians."""
    started = ", ".join(f"{name} {value:.1f} s" for name, value in report.start_seconds.items())
    lines = ["apart from that (medians)", f"  start: {started}"]
    for variant in Variant:
        runs = report.runs(variant)
        first, after, cpu = (
            statistics.median(values)
            for values in (
                [run.start_seconds for run in runs],
                [run.after_seconds for run in runs],
                [run.start_cpu_seconds for run in runs],
            )
        )
        servers = ", ".join(
            f"{name} {item.median:.0f}"
            for name, item in _spreads_by_name(runs, lambda run: run.server_cpu_seconds).items()
        )
        lines.append(
            f"  {LABELS[variant]}: {first:.1f} s to the first chunk, {after:.1f} s after the last, "
            f"{cpu:.1f} s CPU for both" + (f"; servers' CPU us/chunk: {servers}" if servers else "")
        )
    return lines


def _row(name: str, rate: tuple[str, str], cost: tuple[str, str]) -> str:
    cells = "".join(
        f"{median:>{_MEDIAN_WIDTH}}{span:>{_RANGE_WIDTH}}" for median, span in (rate, cost)
    )
    return f"{name:<{_NAME_WIDTH}}{cells}"


def _cells(item: Spread | None, form: str = "{:,.0f}") -> tuple[str, str]:
    if item is None:
        return "-", ""
    return form.format(item.median), f"{form.format(item.low)} - {form.format(item.high)}"


def _fields(item: Spread | None) -> dict[str, float] | None:
    return item.as_dict() if item else None


def _spreads_by_name(
    runs: Sequence[Run], values_of: Callable[[Run], Mapping[str, float]]
) -> dict[str, Spread]:
    """Sum up seconds that runs have by name, in microseconds per chunk."""
    names = sorted({name for run in runs for name in values_of(run)})
    found = {
        name: spread(run.per_chunk(values_of(run)[name]) for run in runs if name in values_of(run))
        for name in names
    }
    return {name: item for name, item in found.items() if item is not None}


def _by_name(
    runs: Sequence[Run], values_of: Callable[[Run], Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    return {name: item.as_dict() for name, item in _spreads_by_name(runs, values_of).items()}
