"""A consumer on the transport itself, without Celery's worker: what it is given, it keeps."""

import base64
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

from celery import Celery

DEADLINE_SECONDS = 20.0


class Counter:
    """Keeps messages, unacknowledged, in the order in which they come.

    Attributes:
        messages: those.
        connection: which can be asked for events.
        channel: of our transport.
    """

    def __init__(self, connection: Any) -> None:
        """Use a connection that the caller closes."""
        self.connection = connection
        self.channel = connection.default_channel
        self.messages: list[Any] = []

    @property
    def batches(self) -> list[str]:
        """Ids of the batches that the messages are about."""
        return [batch_of(message.body) for message in self.messages]

    def wait(self, number: int) -> list[str]:
        """Wait until so many messages have come; gives their batches."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while len(self.messages) < number:
            assert time.monotonic() < deadline, f"{len(self.messages)} of {number} came"
            self.drain()
        return self.batches

    def drain(self) -> None:
        """Take what is there, and wait a moment for more."""
        with contextlib.suppress(socket.timeout):
            self.connection.drain_events(timeout=0.2)


@contextlib.contextmanager
def counter(app: Celery, *queues: str) -> Iterator[Counter]:
    """Consume from queues, all of the app's when none is named."""
    chosen = [app.amqp.queues[name] for name in queues or app.amqp.queues]
    with app.connection_for_read() as connection:
        found = Counter(connection)
        with app.amqp.TaskConsumer(found.channel, chosen, on_message=found.messages.append):
            yield found


def batch_of(body: bytes | str) -> str:
    """Read the batch's id in a message's body."""
    return str(json.loads(body)[0][1])


def raw_batch_of(message: bytes | str) -> str:
    """Read the batch's id in a message as it lies in its queue."""
    return batch_of(base64.b64decode(json.loads(message)["body"]))
