"""Metrics of how long documents take, from their publication, until they can be found."""

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Histogram

from contract.lane import Lane
from worker.outcome import Ingested

AGE_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600, 14400)
"""A contract: alerts name them."""
WAIT_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)


class Sight(StrEnum):
    """What became of a look at a sample of rows."""

    VISIBLE = "visible"
    UNSEEN = "unseen"
    """They were not there for as long as one looks."""
    FAILED = "failed"
    """A server did not answer."""


class Freshness:
    """Ages of batches, by the clock of Redis and, from the claim on, the worker's own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Declare all metrics, and all their series."""

        def histogram(name: str, says: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(
                f"headrace_{name}_seconds", says, ["lane"], buckets=buckets, registry=registry
            )

        self.commit = histogram(
            "time_to_commit", "From a batch's first publication until it is through.", AGE_BUCKETS
        )
        self.searchable = histogram(
            "time_to_searchable",
            "Likewise, until a sample of its rows was seen by a search; of some batches.",
            AGE_BUCKETS,
        )
        self.wait = histogram(
            "queue_wait", "For how long a claimed batch could have been claimed.", WAIT_BUCKETS
        )
        self.probes = Counter(
            "headrace_probes_total",
            "Looks at samples of rows, by what was seen.",
            ["outcome"],
            registry=registry,
        )
        for lane in Lane:
            for metric in (self.commit, self.searchable, self.wait):
                metric.labels(lane.value)
        for sight in Sight:
            self.probes.labels(sight.value)

    def observe(self, ingested: Ingested) -> None:
        """Count the times of one batch, as far as they are known."""
        if ingested.lane is None:
            return
        if ingested.waited_seconds is not None:
            self.wait.labels(ingested.lane.value).observe(ingested.waited_seconds)
        if ingested.age_seconds is not None:
            self.commit.labels(ingested.lane.value).observe(ingested.age_seconds)

    def looked(self, sight: Sight, lane: Lane, age_seconds: float) -> None:
        """Count a look; what a probe is to be told of as ``observe``."""
        self.probes.labels(sight.value).inc()
        if sight is Sight.VISIBLE:
            self.searchable.labels(lane.value).observe(age_seconds)
