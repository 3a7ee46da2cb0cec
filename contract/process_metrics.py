"""Metrics that every process has, whatever it does: what it is, and how late its loop comes."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

LAG_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


def release() -> str:
    """Name the release that runs; "unknown" where it was not installed."""
    try:
        return version("headrace")
    except PackageNotFoundError:
        return "unknown"


def show_build(registry: CollectorRegistry) -> None:
    """Show which release runs."""
    build = Gauge(
        "headrace_build_info", "The release that runs: always 1.", ["version"], registry=registry
    )
    build.labels(release()).set(1)


def show_process(registry: CollectorRegistry) -> None:
    """Show what Python and the system tell of the process."""
    for collector in (GCCollector, PlatformCollector, ProcessCollector):
        collector(registry=registry)


def loop_lag(registry: CollectorRegistry) -> Histogram:
    """Declare the lateness of an event loop, in seconds; see ``contract.heartbeat``."""
    return Histogram(
        "headrace_event_loop_lag_seconds",
        "Lateness of the loop's beats, also of those that have not come yet.",
        buckets=LAG_BUCKETS,
        registry=registry,
    )
