"""The queue: what goes out, what is counted, and where it goes."""

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as redis_py
from celery import Celery

from contract.errors import UnreachableError, UsageError
from contract.names import BULK_QUEUE, INGEST_TASK
from contract.queue import announce, broker_url, make_app, waiting_messages
from contract.settings import load_settings
from tests.servers.redis import RedisServer, free_port, redis_server, redis_tcp_server

PASSWORD = "p@ss/w:rd"  # noqa: S105 - of a server that a test starts


@pytest.fixture
def server(redis_server: RedisServer) -> redis_py.Redis:
    """Give a plain client of an empty server."""
    client = redis_py.Redis.from_url(redis_server.url)
    client.flushall()
    client.close()
    return client


@pytest.fixture
def app(redis_server: RedisServer, server: redis_py.Redis) -> Iterator[Celery]:
    """Give an app of the session's Redis."""
    app = make_app(load_settings({}, Path("/nowhere"), redis_url=redis_server.url))
    yield app
    app.close()
    server.close()


def app_of(url: str) -> Celery:
    """Make an app of some other Redis."""
    return make_app(load_settings({}, Path("/nowhere"), redis_url=url, connect_timeout_seconds=0.5))


@pytest.mark.parametrize(
    ("url", "spelled"),
    [
        ("redis://:pw@host:1/2", "redis://:pw@host:1/2"),
        ("amqp://a:b@host//", "amqp://a:b@host//"),
        ("unix:///a/b.sock", "headrace+socket:///a/b.sock?virtual_host=0"),
        ("unix:///a/b.sock?db=3", "headrace+socket:///a/b.sock?virtual_host=3"),
        ("unix://me:p%40w@/a/b.sock?db=3", "headrace+socket://me:p%40w@/a/b.sock?virtual_host=3"),
        ("unix:///a/b.sock?password=p%40w", "headrace+socket://:p%40w@/a/b.sock?virtual_host=0"),
    ],
)
def test_broker_url(url: str, spelled: str) -> None:
    """A Redis URL is spelled as kombu reads it, with its credentials."""
    assert broker_url(url) == spelled


def test_no_broker() -> None:
    """Without a broker the error says what to set."""
    with pytest.raises(UsageError, match="HEADRACE_REDIS_URL"):
        make_app(load_settings({}, Path("/nowhere")))


def test_another_broker() -> None:
    """A broker that is no Redis gets none of Redis' options."""
    settings = load_settings(
        {}, Path("/nowhere"), redis_url="redis://host/0", broker_url="amqp://host//"
    )
    app = make_app(settings)
    assert app.conf.broker_url == "amqp://host//"
    assert app.conf.broker_transport_options == {}


def test_messages_carry_ids_only(app: Celery, server: redis_py.Redis) -> None:
    """A message names the task, the collection and the batch."""
    assert waiting_messages(app) == 0
    announce(app, "books", (f"batch-{at}" for at in range(130)))
    assert waiting_messages(app) == 130
    (oldest,) = server.lrange(BULK_QUEUE, -1, -1)
    message = json.loads(oldest)
    assert message["headers"]["task"] == INGEST_TASK
    assert json.loads(base64.b64decode(message["body"]))[0] == ["books", "batch-0"]


def test_messages_in_a_workers_hands_are_counted(app: Celery, server: redis_py.Redis) -> None:
    """A message that was handed out and not acknowledged is still one."""
    announce(app, "books", ["batch-1", "batch-2"])
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        assert channel.basic_get(BULK_QUEUE) is not None
        assert server.llen(BULK_QUEUE) == 1
        assert waiting_messages(app) == 2


def test_a_broker_that_is_not_there() -> None:
    """An unreachable broker is an error in our words, in time, without its password."""
    where = f"127.0.0.1:{free_port()}"
    app = app_of(f"redis://:sesame@{where}/0")
    for call in (lambda: announce(app, "books", ["b"]), lambda: waiting_messages(app)):
        begun = time.monotonic()
        with pytest.raises(UnreachableError) as caught:
            call()
        assert where in str(caught.value)
        assert "sesame" not in str(caught.value)
        assert time.monotonic() - begun < 5
    app.close()


def test_passwords(tmp_path: Path) -> None:
    """A password is used, on a port and on a unix socket."""
    with redis_tcp_server(tmp_path, password=PASSWORD) as server:
        app = app_of(server.url)
        announce(app, "books", ["b"])
        assert waiting_messages(app) == 1
        app.close()
    with redis_server(tmp_path) as server:
        redis_py.Redis.from_url(server.url).config_set("requirepass", PASSWORD)
        app = app_of(f"{server.url}&password=p%40ss%2Fw%3Ard")
        announce(app, "books", ["b"])
        assert waiting_messages(app) == 1
        app.close()
