"""The queue: how a worker hears of a batch. Only a hint; the ledger is what counts.

A message carries the collection and the id of a batch, nothing else. Losing one costs a
few seconds (the sweeper announces the batch again), a second copy of one costs nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from celery import Celery
from kombu import Queue
from kombu.exceptions import KombuError, OperationalError
from kombu.transport import TRANSPORT_ALIASES

from contract.errors import UnreachableError, UsageError
from contract.lane import Lane
from contract.names import BULK_QUEUE, INGEST_TASK, QUEUES
from contract.settings import Settings, address

REDIS_SCHEMES = frozenset({"redis", "rediss", "unix"})
TRANSPORT = "contract.transport.transport:Transport"
AMQP = "contract.transport.connection:Amqp"
SOCKET_TRANSPORT = "headrace"
"""Another name of it: kombu takes the transport of a unix socket from the URL alone."""
PUBLISH_TOGETHER = 64
"""Messages in one round trip to the broker."""
LIVE_AHEAD = 2
"""Live messages that may wait in a worker besides those that it can begin: they are small."""

_ROUTING_KEY = re.compile(rb'"([^"]*)"\]\Z')
"""At the end of what Redis holds of a message that was handed out."""


def make_app(settings: Settings) -> Celery:
    """Make the Celery app of a producer or a worker.

    Raises:
        UsageError: no broker is configured.
    """
    url = settings.effective_broker_url
    if url is None:
        raise UsageError("no broker is configured: set HEADRACE_REDIS_URL")
    app = Celery(
        "headrace", broker=broker_url(url.get_secret_value()), amqp=AMQP, set_as_current=False
    )
    on_redis = urlsplit(url.get_secret_value()).scheme in REDIS_SCHEMES
    app.conf.update(
        task_queues=[Queue(name) for name in QUEUES],
        task_default_queue=BULK_QUEUE,
        task_ignore_result=True,
        task_acks_late=False,  # the ledger's lease takes over when a task starts
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A broker that refuses commands (disk full, read-only) is one to reconnect to, as well.
        broker_channel_error_retry=True,
        broker_connection_timeout=settings.connect_timeout_seconds,
        broker_transport_options=_redis_options(settings) if on_redis else {},
    )
    if on_redis:
        app.conf.broker_transport = TRANSPORT
        TRANSPORT_ALIASES[SOCKET_TRANSPORT] = TRANSPORT
    return app


def _redis_options(settings: Settings) -> dict[str, Any]:
    """Options without which Celery on Redis hangs or waits (measured, see ARCHITECTURE.md)."""
    return {
        # Only messages that were prefetched and not begun wait for this.
        "visibility_timeout": 30,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        # The default of 300 s blocks all redelivery after a kill in the middle of a sweep.
        "unacked_mutex_expire": 10,
        # Without it a half-open connection hangs the worker for good.
        "socket_timeout": 15,
        "socket_connect_timeout": settings.connect_timeout_seconds,
        "socket_keepalive": True,
        "health_check_interval": 10,
        # Messages in a worker's hands that are not begun: bulk takes no places of live ones.
        "places": {
            Lane.LIVE.queue: settings.live_slots + LIVE_AHEAD,
            Lane.BULK.queue: settings.worker_concurrency,
        },
    }


def broker_url(url: str) -> str:
    """Spell a Redis URL as kombu wants it; others stay as they are."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    query = dict(parse_qsl(parts.query))
    user = parts.netloc.rpartition("@")[0]
    if "password" in query:
        user = f"{quote(query.get('username', ''))}:{quote(query['password'], safe='')}"
    where = f"{user}@{parts.path}" if user else parts.path
    return f"{SOCKET_TRANSPORT}+socket://{where}?virtual_host={query.get('db', '0')}"


@contextmanager
def _translated(app: Celery) -> Iterator[None]:
    connection = app.connection_for_write()
    foreign = (*connection.connection_errors, *connection.channel_errors)
    try:
        yield
    except (KombuError, OperationalError, *foreign) as error:
        where = address(app.conf.broker_url)
        raise UnreachableError(f"the broker at {where} can't be reached: {error}") from error


def announce(
    app: Celery, collection: str, batch_ids: Iterable[str], lane: Lane = Lane.BULK
) -> None:
    """Send a message for each batch of one lane; blocks, so call it off the event loop.

    Raises:
        UnreachableError: the broker can't be reached, or has no room; how many went out is
            unknown, and does not matter: sending again is harmless.
    """
    send(app, INGEST_TASK, ((collection, batch_id) for batch_id in batch_ids), lane.queue)


def send(app: Celery, task: str, arguments: Iterable[Sequence[str]], queue: str) -> None:
    """Send a message for each list of arguments; blocks, so call it off the event loop.

    Raises:
        UnreachableError: as :func:`announce`.
    """
    with (
        _translated(app),
        app.producer_or_acquire() as producer,
        producer.batch(max_size=PUBLISH_TOGETHER),
    ):
        for args in arguments:
            app.send_task(
                task, args=args, producer=producer, queue=queue, argsrepr="()", kwargsrepr="{}"
            )


def waiting_messages(app: Celery) -> int:
    """Count messages that the broker holds, waiting or handed out and not acknowledged.

    Raises:
        UnreachableError: the broker can't be reached.
    """
    return sum(messages_by_lane(app).values())


def messages_by_lane(app: Celery) -> Mapping[Lane, int]:
    """Count what the broker holds, as :func:`waiting_messages` does, for each lane.

    Raises:
        UnreachableError: the broker can't be reached.
    """
    with _translated(app), app.connection_for_read() as connection:
        channel = connection.default_channel
        held = {lane: _count(channel, lane.queue) for lane in Lane}
        if hasattr(channel, "unacked_key"):
            for message in channel.client.hvals(channel.unacked_key):
                lane = lane_of_unacknowledged(message)
                if lane is not None:
                    held[lane] += 1
        return held


def lane_of_unacknowledged(message: bytes) -> Lane | None:
    """Tell the lane of a message that Redis keeps as handed out; None for one of another task."""
    found = _ROUTING_KEY.search(message)
    queue = found[1].decode() if found else None
    return Lane.of_queue(queue) if queue is None or queue in QUEUES else None


def messages_in(app: Celery, queue: str) -> int:
    """Count messages that wait in a queue, without those that are handed out.

    Raises:
        UnreachableError: the broker can't be reached.
    """
    with _translated(app), app.connection_for_read() as connection:
        return _count(connection.default_channel, queue)


def ready_messages(app: Celery) -> Mapping[Lane, int]:
    """Count messages that the broker would hand to this process if it asked, for each lane.

    Raises:
        UnreachableError: the broker can't be reached.
    """
    with _translated(app), app.connection_for_read() as connection:
        channel, asked = connection.default_channel, app.amqp.queues.consume_from
        return {lane: _count(channel, lane.queue) if lane.queue in asked else 0 for lane in Lane}


def _count(channel: Any, queue: str) -> int:
    # Not passive: before the first message there is no queue, and that is no error.
    declared = channel.queue_declare(queue=queue, durable=True, auto_delete=False)
    return int(declared.message_count)
