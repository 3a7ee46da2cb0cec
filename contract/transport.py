"""Celery's Redis transport with its faults in outages taken out.

When a broker restarts, kombu 5.7 closes a channel whose connection is gone already and
reads an attribute of None: the worker ends with "Unrecoverable error" (measured: 10 of 31
restarts). A connection error instead is one that Celery recovers from by reconnecting.

When acknowledging fails, kombu 5.7 keeps the message's place among the prefetched ones. If all
places were taken as the broker went, the worker waits for messages no more, so it never notices
that the connection is gone, and stays deaf for good.

When Redis is full, kombu 5.7 takes a message off the queue, can't write down that it did, and
raises: the message is lost and the worker ends, so that nobody is left to make room. Here such
a message is simply not written down: should the worker die, the ledger still has the batch.

After an outage kombu waits up to 30 s between two attempts to connect; here up to 2 s.
"""

import contextlib
import logging
from typing import Any

from celery.app.amqp import AMQP
from kombu import Connection as KombuConnection
from kombu.transport import redis as kombu_redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

RECONNECT = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2.0}
"""Pauses between attempts to connect, in seconds."""

logger = logging.getLogger(__name__)


class QoS(kombu_redis.QoS):  # type: ignore[misc]
    """The prefetched messages; one that can't be acknowledged gives its place back."""

    def append(self, message: Any, delivery_tag: Any) -> None:
        """Take a message; a full Redis keeps no copy of it."""
        try:
            super().append(message, delivery_tag)
        except OutOfMemoryError:
            super(kombu_redis.QoS, self).append(message, delivery_tag)

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """Bring back what others took and never acknowledged; not from a Redis that refuses."""
        with contextlib.suppress(ResponseError):
            super().restore_visible(*args, **kwargs)

    def ack(self, delivery_tag: Any) -> None:
        """Acknowledge; where that fails, Redis keeps a copy, which is harmless."""
        try:
            super().ack(delivery_tag)
        except (RedisConnectionError, RedisTimeoutError) as error:
            super(kombu_redis.QoS, self).ack(delivery_tag)
            # Not raised: whoever waits for messages finds that the connection is gone.
            logger.warning(
                "message not acknowledged", extra={"event": "ack_failed", "error": str(error)}
            )


class Channel(kombu_redis.Channel):  # type: ignore[misc]
    """A channel that may be closed twice."""

    QoS = QoS

    def _connparams(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("the channel is closed")
        return super()._connparams(asynchronous)

    def _queue_bind(self, *args: Any) -> None:
        # Producers bind as well; a worker that begins while Redis is full can still consume.
        with contextlib.suppress(OutOfMemoryError):
            super()._queue_bind(*args)


class Transport(kombu_redis.Transport):  # type: ignore[misc]
    """The Redis transport with that channel."""

    Channel = Channel


class Connection(KombuConnection):  # type: ignore[misc]
    """A connection that is made again soon after its broker is back."""

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Connect, again and again if need be."""
        return super().ensure_connection(*args, **{**RECONNECT, **kwargs})


class Amqp(AMQP):  # type: ignore[misc]
    """Celery's maker of connections, with these."""

    Connection = Connection
