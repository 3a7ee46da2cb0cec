"""What the benchmark endpoint has seen and answered."""

import time
from collections import Counter
from collections.abc import Iterable

_MOST_DISTINCT_TEXTS = 1_000_000


class Counts:
    """Counts of requests for embeddings since the start or the last reset."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.reset()

    def reset(self) -> None:
        """Set everything to zero, except the requests that are being answered now."""
        self.requests = 0
        self.texts = 0
        self.tokens = 0
        self.dropped = 0
        self.hung = 0
        self.max_in_flight = self.in_flight
        self.responses: Counter[int] = Counter()
        self._distinct: set[int] | None = set()
        self._cpu_start_seconds = time.process_time()

    def begin(self) -> None:
        """Count a request that has arrived."""
        self.requests += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def embedded(self, texts: Iterable[str], tokens: int) -> None:
        """Count the texts of a request that was answered with vectors."""
        hashes = [hash(text) for text in texts]
        self.texts += len(hashes)
        self.tokens += tokens
        if self._distinct is not None:
            self._distinct.update(hashes)
            if len(self._distinct) > _MOST_DISTINCT_TEXTS:
                self._distinct = None

    def as_dict(self) -> dict[str, object]:
        """Give the counts for JSON; ``distinct_texts`` is None above a million."""
        return {
            "requests": self.requests,
            "texts": self.texts,
            "distinct_texts": None if self._distinct is None else len(self._distinct),
            "tokens": self.tokens,
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "responses": {str(status): number for status, number in self.responses.items()},
            "dropped": self.dropped,
            "hung": self.hung,
            "cpu_seconds": time.process_time() - self._cpu_start_seconds,
        }
