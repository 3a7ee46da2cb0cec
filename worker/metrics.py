"""All metrics of a worker process, by Prometheus' conventions.

Labels come from closed sets and every series is there from the start, at 0: a panel is
never empty, and the first event is never missed by ``increase()``.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from worker.breaker import Dependency
from worker.held import Held
from worker.outcome import HALTED, Ingested, Outcome, Stage
from worker.request_metrics import Requests

STAGE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
ERROR_REASONS = (
    "UnreachableError",
    "TimedOutError",
    "ThrottledError",
    "EmbeddingDeniedError",
    "EmbeddingRefusedError",
    "EmbeddingReplyError",
    "StoreRejectedError",
    "KillsWorkersError",
    "TransientError",
    "other",
)


class Metrics:
    """The metrics, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Declare all of them, and all their series."""
        self.registry = registry

        def counter(name: str, says: str, *labels: str) -> Counter:
            return Counter(f"headrace_{name}_total", says, labels, registry=registry)

        def gauge(name: str, says: str, *labels: str) -> Gauge:
            return Gauge(f"headrace_{name}", says, labels, registry=registry)

        self.documents = counter("documents", "Documents that became searchable.")
        self.chunks = counter("chunks", "Chunks written.")
        self.reused = counter(
            "chunks_reused", "Chunks written whose vectors were read back instead of made."
        )
        self.tokens = counter("embedding_tokens", "Tokens embedded.")
        self.cache_hits = counter("embedding_cache_hits", "Texts found in the embedding cache.")
        self.cache_misses = counter("embedding_cache_misses", "Texts not found in it.")
        self.tokens_saved = counter(
            "embedding_tokens_saved", "Tokens that texts found there had cost, as far as is known."
        )
        self.text_bytes = counter("text_bytes", "Text written, in bytes of UTF-8.")
        self.batches = counter("batches", "Batches by how they ended.", "outcome")
        self.isolated = counter(
            "batches_isolated", "Batches run alone or halved, because workers had died of them."
        )
        self.stage_seconds = Histogram(
            "headrace_stage_duration_seconds",
            "Time of one batch in one stage, retries included.",
            ["stage"],
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self.errors = counter(
            "errors", "Attempts that failed, by stage and reason.", "stage", "reason"
        )
        self.dead = counter("dead_parts", "Shares of documents that became dead letters.", "reason")
        self.in_flight = gauge("batches_in_flight", "Batches being worked on.")
        self.slots = gauge("worker_slots", "Batches this process may work on.")
        self.loop_lag = gauge("event_loop_lag_seconds", "Lateness of the loop's beat.")
        self.breaker_open = gauge(
            "breaker_open",
            "Whether a server is away, so that nothing is claimed (1) or not (0).",
            "dependency",
        )
        self.sources_held = gauge(
            "sources_held", "Sources whose newest job stopped at a budget; alike on all workers."
        )
        self.tokens_today = gauge(
            "tokens_today", "Tokens embedded since midnight (UTC); alike on all workers."
        )
        self.requests = Requests(registry)
        self._declare_series()

    def _declare_series(self) -> None:
        for dependency in Dependency:
            self.breaker_open.labels(dependency.value)
        for outcome in (*Outcome, HALTED):
            self.batches.labels(str(outcome))
        for reason in ERROR_REASONS:
            self.dead.labels(reason)
        for stage in Stage:
            self.stage_seconds.labels(stage.value)
            for reason in ERROR_REASONS:
                self.errors.labels(stage.value, reason)

    def watch_loop(self, lag_seconds: Callable[[], float]) -> None:
        """Read the event loop's lag at every scrape."""
        self.loop_lag.set_function(lag_seconds)

    def breaker_changed(self, dependency: Dependency, is_open: bool, _: str) -> None:  # noqa: FBT001 - Breaker's interface
        """Show that a breaker has opened or closed; what it is to be told as ``on_change``."""
        self.breaker_open.labels(dependency.value).set(is_open)

    def show_held(self, held: Held) -> None:
        """Show what budgets have stopped."""
        self.sources_held.set(held.sources)
        self.tokens_today.set(held.tokens_today)

    def observe(self, ingested: Ingested) -> None:
        """Count what happened to one batch."""
        halted = ingested.outcome is Outcome.DROPPED and ingested.reason == HALTED
        self.batches.labels(HALTED if halted else ingested.outcome.value).inc()
        if ingested.outcome is Outcome.DROPPED and not halted:
            return
        self.isolated.inc(ingested.isolated)
        self.documents.inc(ingested.documents)
        self.tokens.inc(ingested.tokens)
        self.cache_hits.inc(ingested.cache_hits)
        self.cache_misses.inc(ingested.cache_misses)
        self.tokens_saved.inc(ingested.tokens_saved)
        self.text_bytes.inc(ingested.text_bytes)
        if ingested.outcome is Outcome.FINISHED:
            self.chunks.inc(ingested.chunks)
            self.reused.inc(ingested.reused)
        for stage, seconds in ingested.seconds.items():
            self.stage_seconds.labels(stage.value).observe(seconds)
        for (stage, reason), count in ingested.retries.items():
            self.errors.labels(stage.value, _closed(reason)).inc(count)
        for reason in ingested.dead:
            self.dead.labels(_closed(reason)).inc()


def _closed(reason: str) -> str:
    return reason if reason in ERROR_REASONS else "other"
