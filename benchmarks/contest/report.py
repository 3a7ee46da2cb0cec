"""What a comparison says: a table for a person, fields for JSON."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.contest.result import Round, advantage, runs_of
from benchmarks.contest.ways import HEADRACE, Way
from headrace.bench.figures import Spread, spread

METHOD = (
    "Every way gets the same chunks, cut beforehand by headrace's own splitting; headrace itself "
    "reads and cuts the files again. 'steady' is chunks/s without the start of processes: of a "
    "peer, from the call that ingests to its return; of headrace, from the end of the first wave "
    "(the batches that begin together) to the last chunk written. 'whole' is from the start of the "
    "command to its end, imports of libraries and workers' start and stop included. CPU is user "
    "and system time of the client's processes without their start. 'headrace is' compares each "
    "round by itself, and gives the median. A way marked * brings in a sample; its 'whole' is "
    "scaled to all chunks. A way whose rows in Milvus are not as many as its chunks has failed."
)
_NAME_WIDTH = 40
_RATE_WIDTH = 10
_RANGE_WIDTH = 16
_RATIO_WIDTH = 13
_CPU_WIDTH = 9
_COUNT_WIDTH = 10
_REASON_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Report:
    """One comparison.

    Attributes:
        command: how it was called.
        servers: which Milvus.
        documents: how many had chunks.
        chunks: in all of them.
        dimensions: of a vector.
        latency_seconds: of the embedding endpoint.
        machine: cores, system, Python, load.
        headrace: its settings that matter here.
        ways: that were compared.
        versions: of the libraries of each peer, and of ours.
        rounds: the runs, round by round.
        failures: what was wrong with a way, by its name.
    """

    command: str
    servers: str
    documents: int
    chunks: int
    dimensions: int
    latency_seconds: float
    machine: Mapping[str, Any]
    headrace: Mapping[str, Any]
    ways: Sequence[Way]
    versions: Mapping[str, Mapping[str, str]]
    rounds: Sequence[Round]
    failures: Mapping[str, str]

    @property
    def is_good(self) -> bool:
        """Whether every way did in every round what it should."""
        return not self.failures

    def as_dict(self) -> dict[str, Any]:
        """Give everything, for JSON."""
        facts = (
            *("command", "servers", "documents", "chunks", "dimensions", "latency_seconds"),
            *("machine", "headrace", "versions"),
        )
        return {
            **{name: getattr(self, name) for name in facts},
            "method": METHOD,
            "ways": {way.name: self._summary(way) for way in self.ways},
            "rounds": [{name: run.as_dict() for name, run in runs.items()} for runs in self.rounds],
        }

    def _summary(self, way: Way) -> dict[str, Any]:
        runs = runs_of(self.rounds, way.name)
        return {
            "label": way.label,
            "settings": dict(way.options),
            "remark": way.remark,
            "failure": self.failures.get(way.name),
            "chunks": runs[0].chunks if runs else None,
            "chunks_per_second": _fields(spread(run.rate for run in runs)),
            "whole_chunks_per_second": _fields(spread(run.whole_rate for run in runs)),
            "headrace_is_times": _fields(advantage(self.rounds, way.name, whole=False)),
            "headrace_is_times_whole": _fields(advantage(self.rounds, way.name, whole=True)),
            "cpu_microseconds_per_chunk": _fields(spread(run.cpu_microseconds for run in runs)),
            "requests": _fields(spread(float(run.requests) for run in runs)),
        }


def text_of(report: Report) -> str:
    """Write a report for a person."""
    lines = [
        report.command,
        "",
        (
            f"{report.documents:,} documents, {report.chunks:,} chunks, {report.dimensions} "
            f"dimensions, {len(report.rounds)} rounds, {report.latency_seconds:g} s a request"
        ),
        f"Milvus: {report.servers}",
        f"machine: {_listed(report.machine)}",
        f"headrace: {_listed(report.headrace)}",
        "",
        *_head(),
        *(_row(report, way) for way in report.ways),
        "",
        *(f"{name}: {reason}" for name, reason in report.failures.items()),
        *([""] if report.failures else []),
        *_settings(report.ways),
        *(f"{peer}: {_listed(found)}" for peer, found in report.versions.items()),
        "",
        *textwrap.wrap(METHOD, 100),
    ]
    return "\n".join(line.rstrip() for line in lines)


def _head() -> tuple[str, str]:
    rates = f"{'chunks/s':>{_RATE_WIDTH}}{'':{_RANGE_WIDTH}}{'headrace is':>{_RATIO_WIDTH}}"
    above = f"{'':{_NAME_WIDTH}}{rates}{rates}{'CPU us':>{_CPU_WIDTH}}"
    below = (
        f"{'':{_NAME_WIDTH}}"
        f"{'steady':>{_RATE_WIDTH}}{'min - max':>{_RANGE_WIDTH}}{'times':>{_RATIO_WIDTH}}"
        f"{'whole':>{_RATE_WIDTH}}{'min - max':>{_RANGE_WIDTH}}{'times':>{_RATIO_WIDTH}}"
        f"{'a chunk':>{_CPU_WIDTH}}{'requests':>{_COUNT_WIDTH}}{'rows':>{_COUNT_WIDTH}}"
    )
    return above, below


def _row(report: Report, way: Way) -> str:
    name = way.label + ("*" if way.is_sampled else "")
    runs = runs_of(report.rounds, way.name)
    if way.name in report.failures or not runs:
        said = report.failures.get(way.name, "").strip() or "never run"
        return f"{name:<{_NAME_WIDTH}}failed: {said.splitlines()[-1].strip()[:_REASON_WIDTH]}"
    cells = [f"{name:<{_NAME_WIDTH}}"]
    for whole in (False, True):
        rates = spread(run.whole_rate if whole else run.rate for run in runs)
        times = advantage(report.rounds, way.name, whole=whole)
        is_ours = way.name == HEADRACE
        cells += [
            f"{_median(rates):>{_RATE_WIDTH}}",
            f"{_range(rates):>{_RANGE_WIDTH}}",
            f"{'' if is_ours else _median(times, '{:.1f}'):>{_RATIO_WIDTH}}",
        ]
    cells += [
        f"{_median(spread(run.cpu_microseconds for run in runs)):>{_CPU_WIDTH}}",
        f"{_median(spread(float(run.requests) for run in runs)):>{_COUNT_WIDTH}}",
        f"{runs[0].chunks:>{_COUNT_WIDTH},}",
    ]
    return "".join(cells)


def _settings(ways: Sequence[Way]) -> list[str]:
    found = {way.label: "; ".join(filter(None, (way.settings, way.remark))) for way in ways}
    return [*(f"{label}: {said}" for label, said in found.items() if said), ""]


def _listed(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def _median(item: Spread | None, form: str = "{:,.0f}") -> str:
    return form.format(item.median) if item else "-"


def _range(item: Spread | None) -> str:
    return f"{item.low:,.0f} - {item.high:,.0f}" if item else ""


def _fields(item: Spread | None) -> dict[str, float] | None:
    return item.as_dict() if item else None
