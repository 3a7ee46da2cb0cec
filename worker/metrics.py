"""All metrics of a worker process, by Prometheus' conventions.

Labels come from closed sets and every series is there from the start, at 0: a panel is
never empty, and the first event is never missed by ``increase()``.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from worker.outcome import Ingested, Outcome, Stage

STAGE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
ERROR_REASONS = (
    "UnreachableError",
    "TimedOutError",
    "ThrottledError",
    "EmbeddingDeniedError",
    "EmbeddingRefusedError",
    "EmbeddingReplyError",
    "StoreRejectedError",
    "other",
)


class Metrics:
    """The metrics, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Declare all of them, and all their series."""
        self.registry = registry
        self.documents = Counter(
            "headrace_documents_total", "Documents that became searchable.", registry=registry
        )
        self.chunks = Counter("headrace_chunks_total", "Chunks written.", registry=registry)
        self.tokens = Counter(
            "headrace_embedding_tokens_total", "Tokens embedded.", registry=registry
        )
        self.text_bytes = Counter(
            "headrace_text_bytes_total", "Text written, in bytes of UTF-8.", registry=registry
        )
        self.batches = Counter(
            "headrace_batches_total", "Batches by how they ended.", ["outcome"], registry=registry
        )
        self.stage_seconds = Histogram(
            "headrace_stage_duration_seconds",
            "Time of one batch in one stage, retries included.",
            ["stage"],
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self.errors = Counter(
            "headrace_errors_total",
            "Attempts that failed, by stage and reason.",
            ["stage", "reason"],
            registry=registry,
        )
        self.dead = Counter(
            "headrace_dead_parts_total",
            "Shares of documents that became dead letters.",
            ["reason"],
            registry=registry,
        )
        self.in_flight = Gauge(
            "headrace_batches_in_flight", "Batches being worked on.", registry=registry
        )
        self.slots = Gauge(
            "headrace_worker_slots", "Batches this process may work on.", registry=registry
        )
        self.loop_lag = Gauge(
            "headrace_event_loop_lag_seconds", "Lateness of the loop's beat.", registry=registry
        )
        for outcome in Outcome:
            self.batches.labels(outcome.value)
        for reason in ERROR_REASONS:
            self.dead.labels(reason)
        for stage in Stage:
            self.stage_seconds.labels(stage.value)
            for reason in ERROR_REASONS:
                self.errors.labels(stage.value, reason)

    def watch_loop(self, lag_seconds: Callable[[], float]) -> None:
        """Read the event loop's lag at every scrape."""
        self.loop_lag.set_function(lag_seconds)

    def observe(self, ingested: Ingested) -> None:
        """Count what happened to one batch."""
        self.batches.labels(ingested.outcome.value).inc()
        if ingested.outcome is Outcome.DROPPED:
            return
        self.documents.inc(ingested.documents)
        self.tokens.inc(ingested.tokens)
        self.text_bytes.inc(ingested.text_bytes)
        if ingested.outcome is Outcome.FINISHED:
            self.chunks.inc(ingested.chunks)
        for stage, seconds in ingested.seconds.items():
            self.stage_seconds.labels(stage.value).observe(seconds)
        for (stage, reason), count in ingested.retries.items():
            self.errors.labels(stage.value, _closed(reason)).inc(count)
        for reason in ingested.dead:
            self.dead.labels(_closed(reason)).inc()


def _closed(reason: str) -> str:
    return reason if reason in ERROR_REASONS else "other"
