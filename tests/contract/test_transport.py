"""The guard in Celery's Redis transport."""

from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from contract.queue import make_app
from contract.settings import Settings, load_settings
from contract.transport import Channel
from tests.servers.redis import redis_tcp_server


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
