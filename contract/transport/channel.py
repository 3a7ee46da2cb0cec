"""The channel: takes as many messages as there is room for, and listens where there is none."""

import logging
import time
from collections.abc import Mapping, Sequence
from importlib import resources
from queue import Empty
from typing import Any, ClassVar

from kombu.transport import redis as kombu_redis
from kombu.utils.json import loads
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, RedisError

from contract.transport.ear import Ear
from contract.transport.qos import QoS

FETCH = (resources.files("contract.transport") / "fetch.lua").read_text(encoding="utf-8")

logger = logging.getLogger(__name__)


class Channel(kombu_redis.Channel):  # type: ignore[misc]
    """A channel that loses nothing and may be closed twice.

    Attributes:
        places: how many unacknowledged messages of a queue may be in hand; an option of the
            transport. Queues that are not in it share nothing: the prefetch count holds for each.
        ears: by queue.
    """

    QoS = QoS
    places: Mapping[str, int] = {}
    from_transport_options: ClassVar = (
        *kombu_redis.Channel.from_transport_options,
        "places",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Connect.

        Raises:
            RedisError: Redis can't be reached, or refuses.
        """
        self.ears: dict[str, Ear] = {}
        self._sync_client: Any = None
        self._fetch: Any = None
        super().__init__(*args, **kwargs)

    def attend(self) -> bool:
        """Take what there is room for, and listen to the queues that have nothing more.

        Raises:
            RedisError: Redis can't be reached, or refuses; what it gave away and could not say
                is there again after the visibility timeout.
        """
        asked = {
            queue: room
            for queue in self.active_queues
            if (room := self.qos.room(queue)) and not self._is_listening(queue)
        }
        if not asked and not self.qos.acknowledged:
            return False
        taken = self._take(asked)
        for queue, payload in taken:
            self.connection._deliver(payload, queue)  # noqa: SLF001 - kombu's way
            self.qos.settle_unkept(payload["properties"]["delivery_tag"])
        given = [queue for queue, _ in taken]
        for queue, room in asked.items():
            if given.count(queue) < room and queue in self.active_queues:
                self._listen(queue)
        return bool(taken)

    def settle(self) -> None:
        """Tell Redis what is acknowledged; where that fails it keeps copies, which is harmless."""
        if self.qos.acknowledged:
            try:
                self._take({})
            except RedisError as error:
                # Not raised: whoever waits for messages finds that the connection is gone.
                logger.warning(
                    "messages not acknowledged", extra={"event": "ack_failed", "error": str(error)}
                )

    def settle_soon(self) -> None:
        """Tell Redis at the next turn of the event loop; where there is none, at once."""
        if not self.connection.cycle.has_loop:
            self.settle()

    def _take(self, asked: Mapping[str, int]) -> Sequence[tuple[str, Any]]:
        """Call the script; gives queues and messages."""
        client = self._create_client()
        acknowledged, self.qos.acknowledged = self.qos.acknowledged, []
        steps = self.priority_steps
        lists = [self._q_for_pri(queue, step) for queue in asked for step in steps]
        found = self._fetch(
            keys=[self.unacked_key, self.unacked_index_key, *lists],
            args=[time.time(), len(steps), *asked.values(), *acknowledged],
            client=client,
        )
        queues, taken = list(asked), []
        for number, tag, message in zip(found[::3], found[1::3], found[2::3], strict=True):
            queue = queues[number - 1]
            try:
                payload = loads(message.decode()) if tag else None
            except ValueError:
                payload = None
                self.qos.acknowledged.append(tag.decode())
            if payload:
                self.qos.take(tag.decode(), queue)
                taken.append((queue, payload))
            else:
                logger.error(
                    "no message of Celery's: dropped",
                    extra={"event": "message_unreadable", "queue": queue, "bytes": message[:200]},
                )
        return taken

    def _is_listening(self, queue: str) -> bool:
        return queue in self.ears and self.ears[queue].is_listening

    def _listen(self, queue: str) -> None:
        if queue not in self.ears:
            self.ears[queue] = Ear(self, queue)
        self.ears[queue].listen()

    def _get(self, queue: str) -> Any:
        taken = self._take({queue: 1})
        if not taken:
            raise Empty
        return taken[0][1]

    def _create_client(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002
        if asynchronous:
            return super()._create_client(asynchronous=True)
        # Once: redis-py builds some 170 callbacks for each client, which is 100 us.
        if self._sync_client is None or self._sync_client.connection_pool is not self.pool:
            self._sync_client = super()._create_client()
            self._fetch = self._sync_client.register_script(FETCH)
        return self._sync_client

    def _connparams(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("the channel is closed")
        return super()._connparams(asynchronous)

    def _queue_bind(self, *args: Any) -> None:
        # Producers bind as well; a worker that begins while Redis is full can still consume.
        try:
            super()._queue_bind(*args)
        except OutOfMemoryError:
            return
