"""Metrics of the requests that several batches share, by the server that they go to."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge, Histogram

from worker.breaker import Dependency
from worker.coalescing import Departure
from worker.concurrency import Gate

ITEM_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
FILL_BUCKETS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
WAIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)


class Requests:
    """How full requests are, how long they wait for company, how many there are at once."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Declare all metrics, and all their series."""

        def histogram(name: str, says: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(
                f"headrace_request_{name}", says, ["server"], buckets=buckets, registry=registry
            )

        def gauge(name: str, says: str) -> Gauge:
            return Gauge(f"headrace_{name}", says, ["server"], registry=registry)

        self.items = histogram("items", "Texts or rows of one request.", ITEM_BUCKETS)
        self.batches = histogram("batches", "Batches that shared one request.", ITEM_BUCKETS[:7])
        self.fill = histogram(
            "fill_ratio", "Texts or rows of one request, of those that fill it.", FILL_BUCKETS
        )
        self.wait = histogram(
            "wait_seconds", "Wait of a request's oldest part until it left.", WAIT_BUCKETS
        )
        self.limit = gauge("request_limit", "Requests at once, as found out so far.")
        self.in_flight = gauge("requests_in_flight", "Requests that are under way.")
        for server in Dependency:
            for metric in (self.items, self.batches, self.fill, self.wait):
                metric.labels(server.value)
            self.limit.labels(server.value)
            self.in_flight.labels(server.value)

    def observer(self, server: Dependency) -> Callable[[Departure], None]:
        """Give what is to be told of each request that leaves for a server."""
        items, batches = self.items.labels(server.value), self.batches.labels(server.value)
        fill, wait = self.fill.labels(server.value), self.wait.labels(server.value)

        def observe(departure: Departure) -> None:
            items.observe(departure.items)
            batches.observe(departure.calls)
            fill.observe(departure.fill)
            wait.observe(departure.wait_seconds)

        return observe

    def watch(self, server: Dependency, gate: Gate) -> None:
        """Read the gate of a server at every scrape."""
        self.limit.labels(server.value).set_function(lambda: gate.limit.value)
        self.in_flight.labels(server.value).set_function(lambda: gate.in_flight)
