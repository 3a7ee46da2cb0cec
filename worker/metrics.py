"""All metrics of a worker process, by Prometheus' conventions.

Labels come from closed sets and every series is there from the start, at 0: a panel is
never empty, and the first event is never missed by ``increase()``.
"""

from collections.abc import Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from contract.lane import Lane
from contract.process_metrics import loop_lag, show_build
from worker.breaker import Dependency
from worker.embedding_metrics import EmbeddingMetrics
from worker.freshness_metrics import Freshness
from worker.outcome import HALTED, Ingested, Outcome, Stage
from worker.request_metrics import Requests
from worker.slots import Slots
from worker.store_metrics import StoreMetrics

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
        self.in_flight = Gauge(
            "headrace_batches_in_flight", "Batches being worked on.", registry=registry
        )
        self.slots = Gauge(
            "headrace_worker_slots",
            "Places for batches in this process: those that are taken, and all.",
            ["lane", "state"],
            registry=registry,
        )
        self.breaker_open = Gauge(
            "headrace_breaker_open",
            "Whether a server is away, so that nothing is claimed (1) or not (0).",
            ["dependency"],
            registry=registry,
        )
        show_build(registry)
        self.loop_lag = loop_lag(registry)
        self.requests = Requests(registry)
        self.store = StoreMetrics(registry)
        self.embedding = EmbeddingMetrics(registry)
        self.freshness = Freshness(registry)
        self._declare_series()

    def _declare_series(self) -> None:
        for lane in Lane:
            for state in ("busy", "total"):
                self.slots.labels(lane.value, state)
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

    def watch_slots(self, slots: Mapping[Lane, Slots]) -> None:
        """Read at every scrape how many places are taken."""
        for lane, places in slots.items():
            self.slots.labels(lane.value, "total").set(places.number)
            self.slots.labels(lane.value, "busy").set_function(partial(_taken, places))

    def breaker_changed(self, dependency: Dependency, is_open: bool, _: str) -> None:  # noqa: FBT001 - Breaker's interface
        """Show that a breaker has opened or closed; what it is to be told as ``on_change``."""
        self.breaker_open.labels(dependency.value).set(is_open)

    def observe(self, ingested: Ingested) -> None:
        """Count what happened to one batch."""
        halted = ingested.outcome is Outcome.DROPPED and ingested.reason == HALTED
        self.batches.labels(HALTED if halted else ingested.outcome.value).inc()
        self.freshness.observe(ingested)
        if ingested.outcome is Outcome.DROPPED and not halted:
            return
        self.isolated.inc(ingested.isolated)
        self.documents.inc(ingested.documents)
        self.embedding.observe(ingested)
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


def _taken(places: Slots) -> int:
    return places.taken


def _closed(reason: str) -> str:
    return reason if reason in ERROR_REASONS else "other"
