"""The guard in Celery's Redis transport."""

import threading
import time
from pathlib import Path

import pytest
import redis as redis_py
from redis.exceptions import ConnectionError as RedisConnectionError

from contract.names import BULK_QUEUE
from contract.queue import announce, make_app, waiting_messages
from contract.settings import Settings, load_settings
from contract.transport.channel import Channel
from tests.servers.redis import free_port, redis_tcp_server


def guarded(settings: Settings) -> None:
    """Take a channel's connection away, as a broker's restart does, and look at the error."""
    app = make_app(settings)
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        assert isinstance(channel, Channel)
        assert channel.client.ping()
        transport = channel.connection
        client = transport.client
        for broken in (None, transport):
            channel.connection, transport.client = broken, None
            with pytest.raises(RedisConnectionError, match="closed") as caught:
                channel._connparams()
            assert isinstance(caught.value, connection.connection_errors)
        channel.connection, transport.client = transport, client
    app.close()


def test_on_a_unix_socket(settings: Settings) -> None:
    """What would read an attribute of None is an error from which Celery recovers."""
    guarded(settings)


def test_on_a_port(tmp_path: Path) -> None:
    """The same holds for a Redis on the network."""
    with redis_tcp_server(tmp_path) as server:
        guarded(load_settings({}, tmp_path, redis_url=server.url))


def test_a_full_broker_still_gives_messages_away(tmp_path: Path) -> None:
    """Workers must get on with their work when Redis is full: that is what makes room."""
    with redis_tcp_server(tmp_path) as server:
        app = make_app(load_settings({}, tmp_path, redis_url=server.url))
        announce(app, "books", ["batch-1", "batch-2"])
        client = redis_py.Redis.from_url(server.url)
        client.config_set("maxmemory", "1")
        with app.connection_for_read() as connection:
            channel = connection.default_channel
            for queue in app.amqp.queues.values():
                queue(channel).declare()
            messages = [channel.basic_get(BULK_QUEUE) for _ in range(2)]
            assert all(message is not None for message in messages)
            assert waiting_messages(app) == 2, "a full Redis writes down what it moves"
            channel.qos.restore_visible()
            for message in messages:
                channel.basic_ack(message.delivery_tag)
            assert waiting_messages(app) == 0
        client.close()
        app.close()


def test_a_broker_is_found_again_soon(tmp_path: Path) -> None:
    """After an outage of some length, the next attempt to connect is not far."""
    port = free_port()
    app = make_app(load_settings({}, tmp_path, redis_url=f"redis://127.0.0.1:{port}"))
    pauses: list[float] = []
    enough = threading.Event()

    class EnoughError(Exception):
        pass

    def note(_error: Exception, pause_seconds: float) -> None:
        pauses.append(pause_seconds)

    def stop() -> None:
        if len(pauses) >= 4:
            enough.set()
            raise EnoughError

    begun = time.monotonic()
    with app.connection_for_read() as connection, pytest.raises(EnoughError):
        connection.ensure_connection(note, None, callback=stop)
    assert enough.is_set()
    assert pauses == [0.5, 1.0, 1.5, 2.0]
    assert time.monotonic() - begun < 10
    app.close()
