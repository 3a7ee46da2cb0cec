"""Metrics of a producer worker process, and of a scheduler."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from contract.process_metrics import loop_lag, show_build
from headrace.schedules.run import RunState

RUN_BUCKETS: Final = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400)
LAG_BUCKETS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
ENDS: Final = (RunState.DONE, RunState.STOPPED, RunState.CANCELLED, RunState.FAILED)
"""How a run ends that a process has begun."""
FIRED: Final = ("waiting", "queued", "skipped", "missed", "stale", "nothing")
"""What becomes of a slot; see ``Book.fire``."""


class RunMetrics:
    """What a producer worker carries out."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Declare all metrics, and all their series."""
        self.registry = registry
        self.runs = Counter(
            "headrace_runs_total",
            "Runs of schedules, and shards of runs, by how they ended here.",
            ["outcome"],
            registry=registry,
        )
        self.seconds = Histogram(
            "headrace_run_duration_seconds",
            "Time of one run, or of one shard, of those that ended here.",
            buckets=RUN_BUCKETS,
            registry=registry,
        )
        self.slots = Gauge(
            "headrace_run_slots",
            "Places for runs in this process: those that are taken, and all.",
            ["state"],
            registry=registry,
        )
        show_build(registry)
        self.loop_lag = loop_lag(registry)
        for state in ENDS:
            self.runs.labels(state.value)
        for place in ("busy", "total"):
            self.slots.labels(place)

    def watch_slots(self, total: int, busy: Callable[[], int]) -> None:
        """Read at every scrape how many places are taken."""
        self.slots.labels("total").set(total)
        self.slots.labels("busy").set_function(busy)

    def ended(self, state: RunState, seconds: float) -> None:
        """Count a run that came to its end."""
        self.runs.labels(state.value).inc()
        self.seconds.observe(seconds)


class SchedulerMetrics:
    """What a scheduler does as schedules are due."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Declare all metrics, and all their series."""
        self.registry = registry
        self.fired = Counter(
            "headrace_scheduler_fired_total",
            "Schedules that were due, by what became of the slot.",
            ["outcome"],
            registry=registry,
        )
        self.lag = Histogram(
            "headrace_scheduler_lag_seconds",
            "From when a slot was due until it was dealt with.",
            buckets=LAG_BUCKETS,
            registry=registry,
        )
        show_build(registry)
        self.loop_lag = loop_lag(registry)
        for outcome in FIRED:
            self.fired.labels(outcome)

    def dealt_with(self, outcome: str, lag_seconds: float | None) -> None:
        """Count a slot.

        Args:
            outcome: one of ``FIRED``.
            lag_seconds: since it was due; None when there was none to deal with.
        """
        self.fired.labels(outcome).inc()
        if lag_seconds is not None:
            self.lag.observe(max(0.0, lag_seconds))
