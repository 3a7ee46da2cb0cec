"""What a log line belongs to: ids that everything below a block tells with its lines."""

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar

_BOUND: ContextVar[Mapping[str, str]] = ContextVar("headrace_log_context", default={})  # noqa: B039 - never changed


@contextlib.contextmanager
def bound(**ids: str) -> Iterator[None]:
    """Add ids (job, batch, document ...) to all lines that are logged within the block.

    Also within the tasks and threads that are begun there (``asyncio.to_thread``).
    """
    token = _BOUND.set({**_BOUND.get(), **ids})
    try:
        yield
    finally:
        _BOUND.reset(token)


def bound_now() -> Mapping[str, str]:
    """Give the ids of the blocks that this runs in."""
    return _BOUND.get()
