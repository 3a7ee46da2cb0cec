"""The way to Redis: errors in our words, in time, and without passwords."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import exceptions
from redis.asyncio import Redis

from contract.errors import (
    HeadraceError,
    TimedOutError,
    TransientError,
    UnreachableError,
    UsageError,
)
from contract.ledger.connection import check, connect, text, translated
from contract.settings import Settings, load_settings
from tests.servers.redis import RedisServer, free_port, redis_tcp_server

PASSWORD = "open-sesame-4711"  # noqa: S105 - of a server that a test starts


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Give a server that asks for a password."""
    with redis_tcp_server(tmp_path_factory.mktemp("locked"), password=PASSWORD) as server:
        yield server


def settings_of(url: str, **more: float) -> Settings:
    """Make settings for a server."""
    return load_settings({}, Path("/nowhere"), redis_url=url, **more)


async def failure(settings: Settings) -> HeadraceError:
    """Ask a server for a sign of life, and give the error."""
    client = connect(settings)
    try:
        with pytest.raises(HeadraceError) as caught:
            await check(client, settings)
    finally:
        await client.aclose()
    return caught.value


async def test_check(redis: Redis, settings: Settings) -> None:
    """A server that answers is no error."""
    await check(redis, settings)


async def test_check_with_a_password(locked: RedisServer) -> None:
    """The right password opens."""
    settings = settings_of(locked.url)
    client = connect(settings)
    await check(client, settings)
    await client.aclose()


def test_connect_without_a_redis() -> None:
    """Without a Redis the error says what to set."""
    with pytest.raises(UsageError, match="HEADRACE_REDIS_URL"):
        connect(load_settings({}, Path("/nowhere")))


@pytest.mark.parametrize("user", ["", ":wrong-4712@", "somebody:wrong-4712@"])
async def test_wrong_credentials(locked: RedisServer, user: str) -> None:
    """Credentials that are refused are named by address, and never shown."""
    where = locked.url.rpartition("@")[2]
    error = await failure(settings_of(f"redis://{user}{where}"))
    assert isinstance(error, UsageError)
    assert where in str(error)
    assert "4712" not in str(error)


async def test_forbidden_command(redis: Redis, settings: Settings) -> None:
    """A user who may not do what headrace does has wrong credentials."""
    await redis.acl_setuser("reader", enabled=True, nopass=True, commands=["+ping"], keys=["*"])
    assert settings.redis_url is not None
    client = Redis.from_url(
        settings.redis_url.get_secret_value(), username="reader", password=PASSWORD
    )
    with pytest.raises(UsageError), translated(settings):
        await client.set("a", "b")
    await client.aclose()
    await redis.acl_deluser("reader")


async def test_nobody_listens() -> None:
    """A server that is not there is unreachable; the message has its address alone."""
    where = f"127.0.0.1:{free_port()}"
    error = await failure(settings_of(f"redis://me:{PASSWORD}@{where}/0"))
    assert isinstance(error, UnreachableError)
    assert where in str(error)
    assert PASSWORD not in str(error)


async def test_no_socket(tmp_path: Path) -> None:
    """A unix socket that is not there is unreachable, too."""
    error = await failure(settings_of(f"unix://{tmp_path}/no.sock?db=0&password={PASSWORD}"))
    assert isinstance(error, UnreachableError)
    assert "no.sock" in str(error)
    assert PASSWORD not in str(error)


async def test_a_server_that_does_not_accept() -> None:
    """A connection that does not come about is given up within the connect time-out."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        try:
            for one in waiting:  # fill the backlog, so that the next handshake hangs
                one.settimeout(0)
                one.connect_ex(listener.getsockname())
            url = f"redis://:{PASSWORD}@127.0.0.1:{listener.getsockname()[1]}/0"
            await _fails_in_time(url)
        finally:
            for one in waiting:
                one.close()


async def test_a_server_that_does_not_answer() -> None:
    """A server that accepts and says nothing is given up within the connect time-out."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await _fails_in_time(f"redis://:{PASSWORD}@127.0.0.1:{listener.getsockname()[1]}/0")


async def _fails_in_time(url: str) -> None:
    begun = time.monotonic()
    error = await failure(settings_of(url, connect_timeout_seconds=0.3))
    assert isinstance(error, UnreachableError)
    assert PASSWORD not in str(error)
    assert time.monotonic() - begun < 0.3 + 0.5


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (exceptions.TimeoutError("x"), TimedOutError),
        (exceptions.BusyLoadingError("x"), UnreachableError),
        (exceptions.OutOfMemoryError("x"), TransientError),
        (exceptions.ReadOnlyError("x"), TransientError),
        (exceptions.NoScriptError("x"), TransientError),
    ],
)
def test_translated(foreign: Exception, ours: type[HeadraceError]) -> None:
    """Every error that may pass is a transient one of ours, with the foreign one as cause."""
    settings = settings_of(f"redis://me:{PASSWORD}@example.org/0")
    with pytest.raises(ours, match=r"redis://example\.org/0") as caught, translated(settings):
        raise foreign
    assert caught.value.__cause__ is foreign
    assert PASSWORD not in str(caught.value)


async def test_a_restart_is_survived(tmp_path: Path) -> None:
    """The client finds a server again that was killed and came back with its data."""
    with redis_tcp_server(tmp_path, appendonly=True) as server:
        settings = settings_of(server.url)
        client = connect(settings)
        await client.set("a", "b")
        server.kill()
        with pytest.raises(UnreachableError), translated(settings):
            await client.get("a")
        await asyncio.to_thread(server.start)
        assert text(await client.get("a")) == "b"
        await client.aclose()


def test_text() -> None:
    """Bytes and strings are both text."""
    assert text("ä".encode()) == text("ä") == "ä"
