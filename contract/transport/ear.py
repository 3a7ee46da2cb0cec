"""An ear: a connection that waits until a queue has a message, and takes none."""

import time
from typing import Any

from redis.exceptions import OutOfMemoryError

REST_SECONDS = 0.5
"""Until a Redis that is too full for an ear is asked again."""


class Ear:
    """Listens to one queue for a channel, on a connection of its own.

    Its call moves the queue's last message from the end to the end, which is to say that it
    waits for one and changes nothing; Redis has no other call for that. An idle worker hears of
    a message at once and asks once a second, where polling would be either late or busy.
    """

    def __init__(self, channel: Any, queue: str) -> None:
        """Begin with closed ears; nothing is sent yet."""
        self._channel = channel
        self._key = channel._q_for_pri(queue, 0)  # noqa: SLF001 - kombu's name of the list
        self._kind = f"hear {queue}"
        self._client = channel._create_client(asynchronous=True)  # noqa: SLF001 - on the poller's pool
        self._socket: Any = None
        self._since = 0.0
        self._rests_until = 0.0
        channel.handlers[self._kind] = self.hear

    @property
    def is_listening(self) -> bool:
        """Whether word will come, or none need be asked for yet."""
        connection = self._client.connection
        waits = self._socket is not None and connection._sock is self._socket  # noqa: SLF001
        return waits or time.monotonic() < self._rests_until

    def listen(self) -> None:
        """Begin to wait; the poller calls ``hear`` when there is an answer."""
        poller, ident = self._channel.connection.cycle, (self._channel, self._client, self._kind)
        if not poller._client_registered(*ident):  # noqa: SLF001 - as kombu does for BRPOP
            poller._register(*ident)  # noqa: SLF001
        wait_seconds = self._channel.brpop_timeout
        self._client.connection.send_command(
            "BLMOVE", self._key, self._key, "RIGHT", "RIGHT", wait_seconds
        )
        self._socket = self._client.connection._sock  # noqa: SLF001
        self._since = time.monotonic()

    def hear(self) -> None:
        """Read the answer: there is a message, or nothing came within the time."""
        connection, self._socket = self._client.connection, None
        try:
            self._client.parse_response(connection, "BLMOVE")
        except OutOfMemoryError:
            self._rests_until = time.monotonic() + REST_SECONDS
        except self._channel.connection_errors:
            connection.disconnect()
            raise

    def check(self) -> None:
        """Drop a connection whose answer is overdue: nobody else finds that it is half-open."""
        longest = self._channel.brpop_timeout + self._channel.health_check_interval
        if self._socket is not None and time.monotonic() - self._since > longest:
            self._client.connection.disconnect()
