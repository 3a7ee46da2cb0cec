"""Values of metrics at one moment."""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family

from headrace.exporter.catalogue import METRICS, PREFIX, Metric, Section


class Samples:
    """Takes values; those that are put twice are added."""

    def __init__(self) -> None:
        """Begin with none."""
        self._values: dict[Metric, dict[tuple[str, ...], float]] = {}

    def begin(self, section: Section) -> None:
        """Have all metrics of a section, those with known labels at 0."""
        for metric in METRICS:
            if metric.section is section:
                self._values[metric] = dict.fromkeys(metric.first_series, 0.0)

    def add(self, metric: Metric, value: float, *labels: str) -> None:
        """Add to the value of a series."""
        series = self._values[metric]
        series[labels] = series.get(labels, 0.0) + value

    def keep_least(self, metric: Metric, value: float, *labels: str) -> None:
        """Keep the smallest of the values of a series."""
        series = self._values[metric]
        series[labels] = min(series.get(labels, value), value)

    def keep_most(self, metric: Metric, value: float, *labels: str) -> None:
        """Keep the largest of the values of a series."""
        series = self._values[metric]
        series[labels] = max(series.get(labels, value), value)

    def value(self, metric: Metric, *labels: str) -> float:
        """Give the value of a series.

        Raises:
            KeyError: there is none.
        """
        return self._values[metric][labels]

    def __len__(self) -> int:
        """Count the series."""
        return sum(map(len, self._values.values()))

    def families(self) -> Iterator[Family]:
        """Give them as Prometheus' client takes them."""
        for metric, series in self._values.items():
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(PREFIX + metric.name, metric.says, labels=metric.labels)
            for labels, value in series.items():
                family.add_metric(labels, value)
            yield family


class Facts(Protocol):
    """What was read of one section."""

    def put(self, samples: Samples, now: float) -> None:
        """Put the section's values, as of the time ``now`` in seconds since 1970."""
