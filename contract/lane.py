"""The lane of a batch: whether someone waits for it, or it is one of very many."""

from enum import StrEnum
from typing import Self

from contract.names import BULK_QUEUE, LIVE_QUEUE

_QUEUES = {"live": LIVE_QUEUE, "bulk": BULK_QUEUE}


class Lane(StrEnum):
    """A way through queue and workers that the other can't block."""

    LIVE = "live"
    """Every worker keeps places for it."""
    BULK = "bulk"

    @property
    def queue(self) -> str:
        """Name of its queue."""
        return _QUEUES[self.value]

    @classmethod
    def of_queue(cls, queue: str | None) -> Self:
        """Give the lane of a queue; bulk for any that is none of ours."""
        return next((lane for lane in cls if lane.queue == queue), cls("bulk"))
