"""Promises of the scheduler, as a process on real servers."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from contract.ledger.connection import connect
from contract.ledger.control import Halt
from contract.queue import make_app, waiting_messages
from contract.settings import Settings, load_settings
from headrace.local.servers import LocalServers
from tests.servers.command import Command, Running, until
from tests.servers.redis import RedisServer, redis_tcp_server
from tests.worker.house import House, open_house

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Run a Redis that a test may kill."""
    with redis_tcp_server(tmp_path, appendonly=True) as server:
        yield server


@pytest.fixture
async def house(tmp_path: Path, server: RedisServer, milvus_lite_uri: str) -> AsyncIterator[House]:
    """Give an empty collection with an empty ledger."""
    settings = load_settings({}, tmp_path, redis_url=server.url, milvus_uri=milvus_lite_uri)
    redis = connect(settings)
    async with open_house(settings, redis, "scheduled") as house:
        yield house
    await redis.aclose()


def command(folder: Path, settings: Settings) -> Command:
    """Give the command, by URL."""
    assert settings.redis_url is not None
    return Command(
        folder, redis_url=settings.redis_url.get_secret_value(), milvus_uri=settings.milvus_uri
    )


async def until_announced(house: House, number: int, running: Running) -> None:
    """Wait until the broker holds so many messages."""
    app = make_app(house.settings)
    deadline = time.monotonic() + 30
    while await asyncio.to_thread(waiting_messages, app) < number:
        assert running.runs, running.wait()
        assert time.monotonic() < deadline, "nothing was announced"
        await asyncio.sleep(0.05)
    await asyncio.to_thread(app.close)


async def until_cleared(house: House, running: Running) -> None:
    """Wait until cancelled jobs are cleared up."""
    deadline = time.monotonic() + 30
    while await house.control.cancelled_jobs():
        assert running.runs, running.wait()
        assert time.monotonic() < deadline, "nothing was cleared up"
        await asyncio.sleep(0.05)


async def test_it_keeps_order_without_workers_and_through_an_outage(
    tmp_path: Path, server: RedisServer, house: House
) -> None:
    """Lost messages come again, cancelled jobs are cleared up, and SIGTERM ends it with 0."""
    await house.publish(await house.promise("a", 1))  # and its message is lost
    with (
        command(tmp_path, house.settings).started("scheduler") as one,
        command(tmp_path, house.settings).started("scheduler") as two,
    ):
        await until_announced(house, 1, one)
        server.kill()
        await asyncio.sleep(1)
        server.start()
        part = await house.promise("b", 2)
        await house.publish(part)
        await until_announced(house, 2, one)
        house.write(part)
        await house.control.halt(house.job, Halt.CANCELLED)
        await until_cleared(house, one)
        assert house.rows() == []
        one.send(signal.SIGTERM)
        two.send(signal.SIGINT)
        words = (await asyncio.to_thread(one.wait)).expect(0).err
        await asyncio.to_thread(lambda: two.wait().expect(0))
    assert "event='scheduler_ready'" in words
    assert "event='scheduler_stopped'" in words
    assert "Traceback" not in words


def test_without_servers_it_is_wrong_use(tmp_path: Path) -> None:
    """Embedded servers are never started for it."""
    ended = Command(tmp_path).run("scheduler").expect(2)
    assert "headrace up" in ended.err
    assert not (tmp_path / ".headrace").exists()


def test_it_ends_with_the_embedded_servers(tmp_path: Path) -> None:
    """It attaches to servers that run, and has nothing to do once they have ended."""
    with ExitStack() as stack:
        servers = LocalServers(tmp_path / ".headrace")
        with servers:
            running = stack.enter_context(Command(tmp_path).started("scheduler"))
            until(lambda: b"scheduler_ready" in said(running), "the scheduler's begin")
        assert "embedded server has ended" in running.wait().expect(3).err


def said(running: Running) -> bytes:
    """Read what a running command has written; its own place in the file stays."""
    return os.pread(running._err.fileno(), 1 << 20, 0)
