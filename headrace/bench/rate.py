"""A token bucket for requests per minute."""


class RequestRate:
    """Lets requests through at a steady rate, one second's worth of them at once.

    Args:
        requests_per_minute: the rate, at least 1.
        now_seconds: the time now, on any clock that only goes forward.
    """

    def __init__(self, requests_per_minute: int, now_seconds: float) -> None:
        self._per_second = requests_per_minute / 60
        self._capacity = max(1.0, self._per_second)
        self._tokens = self._capacity
        self._seen_seconds = now_seconds

    def wait_seconds(self, now_seconds: float) -> float:
        """Let a request through and give 0, or give how long it should have waited."""
        gained = (now_seconds - self._seen_seconds) * self._per_second
        self._tokens = min(self._capacity, self._tokens + gained)
        self._seen_seconds = now_seconds
        if self._tokens < 1:
            return (1 - self._tokens) / self._per_second
        self._tokens -= 1
        return 0.0
