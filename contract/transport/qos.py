"""What was handed out and is not acknowledged: how much room is left, and what is to be told."""

from collections import Counter
from typing import Any

from kombu.transport import redis as kombu_redis
from redis.exceptions import ResponseError

MOST = 64
"""Messages that a queue without a limit gives at a time."""


class QoS(kombu_redis.QoS):  # type: ignore[misc]
    """The messages in hand; a queue has as many places as ``Channel.places`` says.

    Attributes:
        acknowledged: tags that Redis is not told of yet.
    """

    def __init__(self, channel: Any, prefetch_count: int = 0) -> None:
        """Begin with nothing in hand; for a queue that has no places, the prefetch count holds."""
        super().__init__(channel, prefetch_count)
        self.acknowledged: list[str] = []
        self._queues: dict[str, str] = {}
        self._taken: Counter[str] = Counter()

    def room(self, queue: str) -> int:
        """Tell how many more messages of a queue may be taken."""
        places = self.channel.places.get(queue, self.prefetch_count or None)
        return MOST if places is None else max(places - self._taken[queue], 0)

    def can_consume(self) -> bool:
        """Tell whether there is room for a message of any queue that is consumed."""
        return any(self.room(queue) for queue in self.channel.active_queues)

    def take(self, delivery_tag: str, queue: str) -> None:
        """Give a place to a message that Redis has written down for us."""
        self._queues[delivery_tag] = queue
        self._taken[queue] += 1

    def append(self, message: Any, delivery_tag: str) -> None:
        """Keep a message until it is acknowledged; Redis knows of it already."""
        super(kombu_redis.QoS, self).append(message, delivery_tag)

    def settle_unkept(self, delivery_tag: str) -> None:
        """Acknowledge a message for a consumer that does not."""
        if delivery_tag in self._queues and delivery_tag not in self._delivered:
            self.ack(delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge: with an event loop at its next turn, without one at once.

        Where that fails, Redis keeps a copy, which is harmless.
        """
        super(kombu_redis.QoS, self).ack(delivery_tag)
        self._give_back(delivery_tag)
        if not self.channel.closed:  # else the message is in its queue again
            self.acknowledged.append(delivery_tag)
            self.channel.settle_soon()

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002
        """Give a message back to its queue, or drop it."""
        try:
            super().reject(delivery_tag, requeue)
        finally:
            self._give_back(delivery_tag)

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Give everything back at the end, but for what is acknowledged."""
        self.channel.settle()
        super().restore_unacked_once(stderr)

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """Bring back what others took and never acknowledged; not from a Redis that refuses."""
        try:
            super().restore_visible(*args, **kwargs)
        except ResponseError:
            return

    def _give_back(self, delivery_tag: str) -> None:
        queue = self._queues.pop(delivery_tag, None)
        if queue is not None:
            self._taken[queue] -= 1
