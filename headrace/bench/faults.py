"""What the benchmark endpoint does wrong on purpose, set while it runs."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_HIGHEST_STATUS = 599


@dataclass(slots=True)
class Faults:
    """Faults of an endpoint; the defaults are those of an endpoint that works.

    Attributes:
        latency_seconds: wait before every good answer.
        status: HTTP status (400 to 599) of the next ``status_requests`` requests.
        status_requests: how many requests get ``status``; 1 if only the status is set.
        retry_after_seconds: what these answers ask the client to wait, or None.
        hang_requests: how many of the next requests get no answer at all.
        drop_requests: how many of the next requests have their connection closed.
        cut_requests: how many of the next good answers end, with their connection, half-way.
        wrong_dimension: vectors are one value too long.
        short: the last vector is missing.
        shuffled: vectors are out of order, with the right index.
        duplicate_index: the last vector has the index of the first.
        nan: one value is not a number.
        refuse_marker: requests with this string in an input are refused with 400.
        max_in_flight: more requests at the same time are answered with 429.
        requests_per_minute: more than these (one second's worth at once) are answered with 429.
        tokens_per_minute: likewise, of the tokens of requests.
        rate_headers: answers tell of these limits, in OpenAI's headers.
        exact_tokens: tokens are counted as OpenAI's models do; else 4 characters are one.
    """

    latency_seconds: float = 0.0
    status: int | None = None
    status_requests: int = 0
    retry_after_seconds: float | None = None
    hang_requests: int = 0
    drop_requests: int = 0
    cut_requests: int = 0
    wrong_dimension: bool = False
    short: bool = False
    shuffled: bool = False
    duplicate_index: bool = False
    nan: bool = False
    refuse_marker: str | None = None
    max_in_flight: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    rate_headers: bool = False
    exact_tokens: bool = False

    def changed(self, values: Mapping[str, object]) -> "Faults":
        """Give faults with some of them set anew.

        Raises:
            ValueError: a name is unknown or a value is of the wrong kind.
        """
        for name, value in values.items():
            kind = _KINDS.get(name)
            if kind is None:
                raise ValueError(f"unknown fault {name!r}; known are {', '.join(_KINDS)}")
            what, is_right = kind
            if not is_right(value):
                raise ValueError(f"{name} must be {what}, not {value!r}")
        settings: dict[str, object] = {**dataclasses.asdict(self), **values}
        if values.get("status") is not None and "status_requests" not in values:
            settings["status_requests"] = 1
        return Faults(**settings)  # type: ignore[arg-type]  # every value was checked above

    def take_drop(self) -> bool:
        """Tell whether this request's connection is to be closed, and count it."""
        taken = self.drop_requests > 0
        self.drop_requests -= taken
        return taken

    def take_hang(self) -> bool:
        """Tell whether this request is to get no answer, and count it."""
        taken = self.hang_requests > 0
        self.hang_requests -= taken
        return taken

    def take_cut(self) -> bool:
        """Tell whether this request's answer is to end half-way, and count it."""
        taken = self.cut_requests > 0
        self.cut_requests -= taken
        return taken

    def take_status(self) -> int | None:
        """Give the status that this request is to get, and count it."""
        if self.status is None or self.status_requests <= 0:
            return None
        self.status_requests -= 1
        return self.status


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_seconds(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and value >= 0
        and math.isfinite(value)
    )


def _is_status(value: object) -> bool:
    return isinstance(value, int) and 400 <= value <= _HIGHEST_STATUS  # noqa: PLR2004


def _is_limit(value: object) -> bool:
    return value is None or (_is_count(value) and value != 0)


_FLAG = ("true or false", lambda value: isinstance(value, bool))
_COUNT = ("a whole number from 0", _is_count)
_LIMIT = ("a whole number from 1, or null", _is_limit)
_KINDS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "latency_seconds": ("a number from 0", _is_seconds),
    "status": ("400 to 599, or null", lambda value: value is None or _is_status(value)),
    "status_requests": _COUNT,
    "retry_after_seconds": (
        "a number from 0, or null",
        lambda value: value is None or _is_seconds(value),
    ),
    "hang_requests": _COUNT,
    "drop_requests": _COUNT,
    "cut_requests": _COUNT,
    "wrong_dimension": _FLAG,
    "short": _FLAG,
    "shuffled": _FLAG,
    "duplicate_index": _FLAG,
    "nan": _FLAG,
    "refuse_marker": (
        "a string, or null",
        lambda value: value is None or (isinstance(value, str) and value != ""),
    ),
    "max_in_flight": _LIMIT,
    "requests_per_minute": _LIMIT,
    "tokens_per_minute": _LIMIT,
    "rate_headers": _FLAG,
    "exact_tokens": _FLAG,
}
