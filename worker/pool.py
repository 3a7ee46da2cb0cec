"""Celery's pool of threads, with threads of its own for each lane."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery.concurrency import thread

from contract.lane import Lane

LIVE_SLOTS = "headrace_live_slots"
"""Name of the app's option: threads for live messages, besides Celery's concurrency."""


class TaskPool(thread.TaskPool):  # type: ignore[misc]
    """A message runs in a thread of the lane whose queue it came from.

    However long bulk is at its batches, a live one is begun as soon as a live thread is free.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Prepare; threads are started as they are needed."""
        super().__init__(*args, **kwargs)
        self._live = ThreadPoolExecutor(self.app.conf[LIVE_SLOTS], "headrace-live")

    def on_apply(self, target: Any, args: Any = None, *rest: Any, **options: Any) -> Any:
        """Hand a message to a thread; ``args`` are those of Celery's tracer."""
        _name, _id, request, *_ = args
        if Lane.of_queue(request["delivery_info"]["routing_key"]) is not Lane.LIVE:
            return super().on_apply(target, args, *rest, **options)
        kwargs, callback, accept_callback = (
            options.get(name) for name in ("kwargs", "callback", "accept_callback")
        )
        return thread.ApplyResult(
            self._live.submit(thread.apply_target, target, args, kwargs, callback, accept_callback)
        )

    def on_stop(self) -> None:
        """Let what has begun end; what has not is given back."""
        self._live.shutdown(wait=False, cancel_futures=True)
        super().on_stop()
        self._live.shutdown()
