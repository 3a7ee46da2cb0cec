"""A token bucket for requests, or tokens, a minute."""


class Rate:
    """Lets things through at a steady rate, one second's worth of them at once.

    What is larger than that passes a full bucket, and leaves it empty for as long as it is worth.

    Args:
        per_minute: the rate, at least 1.
        now_seconds: the time now, on any clock that only goes forward.
    """

    def __init__(self, per_minute: int, now_seconds: float) -> None:
        self._per_second = per_minute / 60
        self._capacity = max(1.0, self._per_second)
        self._level = self._capacity
        self._seen_seconds = now_seconds

    def wait_seconds(self, now_seconds: float, amount: float = 1.0) -> float:
        """Give 0 if so much may pass, or how long it should have waited; see ``take``."""
        gained = (now_seconds - self._seen_seconds) * self._per_second
        self._level = min(self._capacity, self._level + gained)
        self._seen_seconds = now_seconds
        return max(0.0, min(amount, self._capacity) - self._level) / self._per_second

    def take(self, amount: float = 1.0) -> None:
        """Let so much pass."""
        self._level -= amount
