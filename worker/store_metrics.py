"""Metrics of single requests to Milvus."""

from enum import StrEnum

from prometheus_client import CollectorRegistry, Histogram

SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Operation(StrEnum):
    """What Milvus is asked to do."""

    INSERT = "insert"
    UPSERT = "upsert"
    DELETE = "delete"
    QUERY = "query"


class StoreMetrics:
    """How long Milvus takes, as its client sees it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Declare all series."""
        self.seconds = Histogram(
            "headrace_store_request_duration_seconds",
            "Time of one request to Milvus, whatever was answered.",
            ["op"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self._series = {operation: self.seconds.labels(operation.value) for operation in Operation}

    def observe(self, operation: Operation, seconds: float) -> None:
        """Count one request."""
        self._series[operation].observe(seconds)


def ignore(operation: Operation, seconds: float) -> None:
    """Count nothing."""
