"""A server that tests may fill, stop and restart, and an app of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as redis_py
from celery import Celery

from contract.queue import make_app
from contract.settings import load_settings
from tests.servers.redis import RedisServer, redis_tcp_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Run a Redis of this test's own."""
    with redis_tcp_server(tmp_path, appendonly=True, appendfsync="no") as server:
        yield server


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis_py.Redis]:
    """Look into it."""
    client = redis_py.Redis.from_url(server.url)
    yield client
    client.close()


@pytest.fixture
def app(server: RedisServer, tmp_path: Path) -> Iterator[Celery]:
    """Give an app with two places for bulk messages and three for live ones."""
    settings = load_settings({}, tmp_path, redis_url=server.url, worker_concurrency=2, live_slots=1)
    app = make_app(settings)
    yield app
    app.close()
