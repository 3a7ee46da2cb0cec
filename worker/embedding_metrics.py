"""Metrics of the embedding endpoint: its requests, its budget, what it costs."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from contract.prices import price_of
from contract.settings import Settings
from worker.embedding.budget import Rates
from worker.embedding.build import model_name, provider_kind
from worker.embedding.metered import Code
from worker.outcome import Ingested

SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_MILLION = 1_000_000


class EmbeddingMetrics:
    """What is asked of the endpoint, or of the local model, and what that costs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Declare all metrics, and all their series but the model's name."""

        def counter(name: str, says: str, *labels: str) -> Counter:
            return Counter(f"headrace_embedding_{name}_total", says, labels, registry=registry)

        self.requests = counter("requests", "Embedding requests, by what was answered.", "code")
        self.seconds = Histogram(
            "headrace_embedding_request_duration_seconds",
            "Time of one embedding request, whatever was answered.",
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self.throttled = counter(
            "throttle_seconds",
            "Waits for the shared budget, and those that the endpoint asked for.",
        )
        self.cost = counter(
            "cost_dollars", "US dollars for embedded tokens; 0 where no price is known."
        )
        self.saved = counter("cost_saved_dollars", "Likewise, of tokens that the cache saved.")
        self.info = Gauge(
            "headrace_embedding_info",
            "Who embeds: always 1.",
            ["provider", "model"],
            registry=registry,
        )
        self.limit = Gauge(
            "headrace_embedding_budget_limit",
            "Of all workers together, a minute; 0 where none is known.",
            ["kind"],
            registry=registry,
        )
        self._dollars_a_token = 0.0
        self._codes = {code: self.requests.labels(code.value) for code in Code}
        for kind in ("requests", "tokens"):
            self.limit.labels(kind)

    def describe(self, settings: Settings) -> None:
        """Show who embeds, and learn what that costs."""
        self.info.labels(provider_kind(settings), model_name(settings)).set(1)
        self._dollars_a_token = (price_of(settings) or 0.0) / _MILLION

    def watch(self, rates: Callable[[], Rates]) -> None:
        """Read the budget at every scrape."""
        self.limit.labels("requests").set_function(lambda: rates().requests_per_minute)
        self.limit.labels("tokens").set_function(lambda: rates().tokens_per_minute)

    def requested(self, code: Code, seconds: float) -> None:
        """Count one request."""
        self._codes[code].inc()
        self.seconds.observe(seconds)

    def observe(self, ingested: Ingested) -> None:
        """Count what one batch cost, and how long it was told to wait."""
        self.cost.inc(ingested.tokens * self._dollars_a_token)
        self.saved.inc(ingested.tokens_saved * self._dollars_a_token)
        self.throttled.inc(ingested.throttled_seconds)
