"""All metrics that the code has: their names, labels, and label values that are always there."""

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from headrace.exporter.board import OWN_METRICS
from headrace.exporter.catalogue import METRICS, PREFIX
from headrace.schedules.metrics import RunMetrics, SchedulerMetrics
from worker.metrics import Metrics


@dataclass(slots=True)
class Series:
    """The series of one name."""

    family: str
    """The metric that they belong to: a histogram has several names."""
    labels: set[str] = field(default_factory=set)
    values: dict[str, set[str]] = field(default_factory=dict)
    """Of labels whose values are there from the start."""


def catalogue() -> dict[str, Series]:
    """Give all series by name, of all processes."""
    found: dict[str, Series] = {}
    for make in (Metrics, RunMetrics, SchedulerMetrics):
        registry = CollectorRegistry()
        make(registry)
        _add(found, registry)
    for metric in METRICS:
        series = found.setdefault(metric.full_name, Series(metric.full_name))
        series.labels |= set(metric.labels)
        if metric.values:
            for label, values in zip(metric.labels, metric.values, strict=True):
                series.values.setdefault(label, set()).update(values)
    for name, labels in OWN_METRICS.items():
        found.setdefault(PREFIX + name, Series(PREFIX + name)).labels |= set(labels)
    return found


def _add(found: dict[str, Series], registry: CollectorRegistry) -> None:
    for family in registry.collect():
        for sample in family.samples:
            series = found.setdefault(sample.name, Series(family.name))
            for label, value in sample.labels.items():
                series.labels.add(label)
                series.values.setdefault(label, set()).add(value)
    # Of metrics without a series yet: the names alone.
    for name, collector in registry._names_to_collectors.items():
        if name not in found:
            labels = set(getattr(collector, "_labelnames", ()))
            found[name] = Series(getattr(collector, "_name", name), labels)
