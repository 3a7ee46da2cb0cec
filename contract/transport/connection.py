"""The connection that Celery makes, to whatever broker."""

from typing import Any

from celery.app.amqp import AMQP
from kombu import Connection as KombuConnection

RECONNECT = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2.0}
"""Pauses between attempts to connect, in seconds."""


class Connection(KombuConnection):  # type: ignore[misc]
    """A connection that is made again soon after its broker is back."""

    @property
    def qos_semantics_matches_spec(self) -> bool:
        """Have RabbitMQ count prefetched messages for each queue: bulk takes no live places."""
        return True

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Connect, again and again if need be."""
        return super().ensure_connection(*args, **{**RECONNECT, **kwargs})


class Amqp(AMQP):  # type: ignore[misc]
    """Celery's maker of connections, with these."""

    Connection = Connection
