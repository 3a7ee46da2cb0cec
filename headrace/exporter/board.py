"""The board: what was read last of each section, for scrapes that wait for nobody."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from contract.errors import HeadraceError
from headrace.exporter.catalogue import PREFIX, Section
from headrace.exporter.samples import Facts, Samples

UP: Final = {Section.REDIS: "redis_up", Section.MILVUS: "milvus_up"}
"""Sections that tell whether a server answers."""
OWN_METRICS: Final = {
    "redis_up": (),
    "milvus_up": (),
    "exporter_last_success_timestamp_seconds": ("what",),
    "exporter_read_duration_seconds": ("what",),
    "build_info": ("version",),
}
"""Names and labels of what the board shows of the exporter itself."""


class Board(Collector):
    """Holds facts, and shows them at a scrape; used by several threads.

    Facts of a section that can't be read any more stay as they are: the time of the last success
    tells.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """Begin with nothing; ``now`` gives the seconds since 1970."""
        self._now = now
        self._lock = threading.Lock()
        self._facts: dict[Section, Facts] = {}
        self._succeeded: dict[Section, float] = {}
        self._took: dict[Section, float] = {}
        self._up: dict[Section, bool] = dict.fromkeys(UP, False)

    @contextmanager
    def reading(self, section: Section) -> Iterator[Callable[[Facts], None]]:
        """Time a reading; gives what its facts are to be handed to."""
        begun = time.monotonic()

        def take(facts: Facts) -> None:
            with self._lock:
                self._facts[section] = facts
                self._succeeded[section] = self._now()
                self._took[section] = time.monotonic() - begun
                if section in UP:
                    self._up[section] = True

        try:
            yield take
        except (HeadraceError, TimeoutError):
            with self._lock:
                self._took[section] = time.monotonic() - begun
                if section in UP:
                    self._up[section] = False
            raise

    def facts(self, section: Section) -> Facts | None:
        """Give what was read last; None: nothing yet."""
        with self._lock:
            return self._facts.get(section)

    def age_seconds(self, section: Section) -> float:
        """Tell how old that is; infinite: there is nothing."""
        with self._lock:
            return self._now() - self._succeeded.get(section, float("-inf"))

    def is_up(self, section: Section) -> bool:
        """Tell whether the server answered the last time; for those that ``UP`` names."""
        with self._lock:
            return self._up[section]

    def samples(self) -> Samples:
        """Give the values of all sections that were ever read, as of now."""
        with self._lock:
            facts = dict(self._facts)
        samples, now = Samples(), self._now()
        for section, found in facts.items():
            samples.begin(section)
            found.put(samples, now)
        return samples

    def collect(self) -> Iterator[Family]:
        """Show everything."""
        yield from self.samples().families()
        with self._lock:
            up, succeeded, took = dict(self._up), dict(self._succeeded), dict(self._took)
        for section, name in UP.items():
            yield _gauge(name, "Whether the server answered the last time.", {(): up[section]})
        yield _gauge(
            "exporter_last_success_timestamp_seconds",
            "When it was last read; 0: never.",
            {(section.value,): succeeded.get(section, 0.0) for section in Section},
        )
        yield _gauge(
            "exporter_read_duration_seconds",
            "How long that took the last time.",
            {(section.value,): took.get(section, 0.0) for section in Section},
        )
        yield _gauge("build_info", "Which release this is.", {(version("headrace"),): 1})


def _gauge(name: str, says: str, values: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(PREFIX + name, says, labels=OWN_METRICS[name])
    for labels, value in values.items():
        family.add_metric(labels, float(value))
    return family
