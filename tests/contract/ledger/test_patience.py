"""The patient client: outages, restarts and a full server are waited out inside the call."""

import asyncio
import logging
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import exceptions
from redis.asyncio import Redis

from contract.errors import UnreachableError, UsageError
from contract.ledger.connection import check, connect, text, translated
from contract.ledger.patience import OUTAGE_FAILURES, is_passing
from contract.settings import Settings, load_settings
from contract.tasks import end
from tests.servers.redis import RedisServer, free_port, redis_tcp_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Give a server of this test alone, that keeps what it was told."""
    with redis_tcp_server(tmp_path, appendonly=True) as server:
        yield server


@pytest.fixture
def own_settings(server: RedisServer) -> Settings:
    """Give settings that name it."""
    return settings_of(server.url)


@pytest.fixture
async def told() -> list[str]:
    """Give what the client told of its troubles."""
    return []


@pytest.fixture
async def patient(own_settings: Settings, told: list[str]) -> AsyncIterator[Redis]:
    """Give a client with patience for all that a test does."""
    client = connect(own_settings, patience_seconds=30.0, on_trouble=told.append)
    yield client
    await client.aclose()


def settings_of(url: str, **more: float) -> Settings:
    """Make settings for a server."""
    return load_settings({}, Path("/nowhere"), redis_url=url, **more)


async def until_told(told: list[str]) -> None:
    """Wait until the client waits."""
    async with asyncio.timeout(10):
        while not told:  # noqa: ASYNC110 - nothing else tells
            await asyncio.sleep(0.01)


async def begin_writes(client: Redis) -> list[asyncio.Future[Any]]:
    """Write in each way that the ledger has."""
    script = client.register_script("return redis.call('HSET', KEYS[1], 'field', ARGV[1])")
    pipes = [client.pipeline(transaction=False) for _ in range(2)]
    pipes.append(client.pipeline(transaction=True))
    await script(keys=["scripted"], args=["x"], client=pipes[0])
    pipes[1].set("piped", "x")
    pipes[2].set("together", "x")
    calls = [asyncio.create_task(pipe.execute()) for pipe in pipes]
    return [asyncio.ensure_future(client.set("a", "b")), *calls]


async def test_an_outage_is_waited_out(
    server: RedisServer, patient: Redis, told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Calls that meet an outage succeed after it, by themselves, and it is told of once."""
    caplog.set_level(logging.INFO)
    await patient.set("a", "b")
    server.kill()
    calls = [asyncio.ensure_future(patient.get("a")) for _ in range(8)]
    await until_told(told)
    await asyncio.sleep(0.5)
    await asyncio.to_thread(server.start)
    back = time.monotonic()
    assert [text(found) for found in await asyncio.gather(*calls)] == ["b"] * 8
    assert time.monotonic() - back < 3
    assert [bool(trouble) for trouble in told] == [True, False]
    assert [getattr(r, "event", "") for r in caplog.records] == ["redis_away", "redis_back"]


async def test_each_outage_is_told_of(server: RedisServer, patient: Redis, told: list[str]) -> None:
    """Also when whoever waited in the one before gave up; who did not ask does not say "back"."""
    for outage in range(1, 4):
        server.kill()
        call = asyncio.ensure_future(patient.get("a"))
        async with asyncio.timeout(10):
            while len(told) < outage:  # noqa: ASYNC110 - nothing else tells
                await asyncio.sleep(0.01)
        await end(call)
        await asyncio.to_thread(server.start)
        assert await patient.get("a") is None
    assert all(told)


async def test_patience_ends(server: RedisServer, own_settings: Settings) -> None:
    """An outage that is longer than the patience is an error, and not much later."""
    client = connect(own_settings, patience_seconds=1.0)
    await client.ping()
    server.kill()
    begun = time.monotonic()
    with pytest.raises(UnreachableError), translated(own_settings):
        await client.ping()
    assert 1.0 <= time.monotonic() - begun < 4
    await client.aclose()


async def test_a_wrong_password_is_no_outage(tmp_path: Path) -> None:
    """What nobody mends by waiting is told at once."""
    with redis_tcp_server(tmp_path, password="right") as server:  # noqa: S106
        settings = settings_of(server.url.replace("right", "wrong"))
        client = connect(settings, patience_seconds=60.0)
        begun = time.monotonic()
        with pytest.raises(UsageError), translated(settings):
            await client.ping()
        assert time.monotonic() - begun < 2
        await client.aclose()


async def test_a_check_has_no_patience() -> None:
    """A wrong address is told as quickly by a patient client as by any other."""
    settings = settings_of(f"redis://127.0.0.1:{free_port()}")
    client = connect(settings, patience_seconds=60.0)
    begun = time.monotonic()
    with pytest.raises(UnreachableError, match=r"refused|connect"):
        await check(client, settings)
    assert time.monotonic() - begun < 4
    await client.aclose()


async def test_a_full_server_is_waited_for(
    server: RedisServer, own_settings: Settings, patient: Redis, told: list[str]
) -> None:
    """A write that finds no room succeeds once someone has made some; scripts in pipelines too."""
    quick = connect(own_settings)
    await quick.config_set("maxmemory", "1")
    writes = await begin_writes(patient)
    await until_told(told)
    assert "memory" in told[0]
    with pytest.raises(exceptions.OutOfMemoryError):
        await quick.set("c", "d")
    await quick.config_set("maxmemory", "0")
    await asyncio.wait_for(asyncio.gather(*writes), 5)
    assert await quick.exists("a", "piped", "together", "scripted") == len(writes)
    await quick.aclose()


async def test_a_full_server_is_told_of_once(
    own_settings: Settings, patient: Redis, told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """What gets through meanwhile, be it at the third attempt, says nothing of what waits."""
    quick = connect(own_settings)
    await quick.config_set("maxmemory", "1")
    writes = await begin_writes(patient)
    await until_told(told)
    read = asyncio.ensure_future(patient.blpop(["nothing"], timeout=2))
    for _ in range(OUTAGE_FAILURES):
        async with asyncio.timeout(10):
            while not (await quick.info("clients"))["blocked_clients"]:
                assert await patient.get("a") is None
        await quick.client_kill_filter(_type="normal", skipme=True)
    assert await read is None
    assert len(told) == 1
    await quick.config_set("maxmemory", "0")
    done, rest = await asyncio.wait(writes, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    for write in rest:
        write.cancel()
    await asyncio.wait(writes, timeout=5)
    assert all(write.exception() is None for write in done)
    assert [bool(trouble) for trouble in told] == [True, False]
    assert [getattr(r, "event", "") for r in caplog.records] == ["redis_away", "redis_back"]
    await quick.aclose()


async def test_a_full_disk_is_waited_for(tmp_path: Path, told: list[str]) -> None:
    """A server that refuses writes because it can't save them is waited for, in pipelines too."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with redis_tcp_server(folder) as server:
        quick = connect(settings_of(server.url))
        patient = connect(settings_of(server.url), patience_seconds=30.0, on_trouble=told.append)
        # Else the pipelines would not get far: a server like that refuses new connections' PING.
        await asyncio.gather(*await begin_writes(patient))
        shutil.rmtree(folder)
        await quick.config_set("save", "3600 1")
        await quick.bgsave()
        async with asyncio.timeout(10):
            while (await quick.info("persistence"))["rdb_last_bgsave_status"] == "ok":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        with pytest.raises(exceptions.ResponseError, match=r"^MISCONF"):
            await quick.set("a", "b")
        writes = await begin_writes(patient)
        await until_told(told)
        await quick.config_set("save", "")
        await asyncio.wait_for(asyncio.gather(*writes), 5)
        await quick.aclose()
        await patient.aclose()


@pytest.mark.parametrize("patience", [None, 10.0])
async def test_a_pipeline_finds_its_scripts_again(
    own_settings: Settings, patience: float | None
) -> None:
    """Scripts that are lost between the look for them and their use are loaded anew."""
    client = connect(own_settings, patience_seconds=patience)
    script = client.register_script("return redis.call('INCR', KEYS[1])")
    pipe = client.pipeline(transaction=False)
    await script(keys=["count"], client=pipe)
    load: Callable[[], Awaitable[None]] = pipe.load_scripts
    times = 0

    async def load_and_lose() -> None:
        nonlocal times
        times += 1
        await load()
        if times <= 2:
            await client.script_flush()

    pipe.load_scripts = load_and_lose  # type: ignore[method-assign]
    assert await pipe.execute() == [1]
    assert times == 3
    await client.aclose()


async def test_a_restart_in_the_middle_of_a_pipeline(
    server: RedisServer, patient: Redis, told: list[str]
) -> None:
    """A pipeline that has made sure of its scripts, and then meets a restart, succeeds."""
    script = patient.register_script("return redis.call('HSET', KEYS[1], 'field', 1)")
    pipe = patient.pipeline(transaction=False)
    for key in range(10):
        await script(keys=[f"{key}"], client=pipe)
    load: Callable[[], Awaitable[None]] = pipe.load_scripts
    restarted = False

    async def load_and_restart() -> None:
        nonlocal restarted
        await load()
        if not restarted:
            restarted = True
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)

    pipe.load_scripts = load_and_restart  # type: ignore[method-assign]
    assert len(await pipe.execute()) == 10
    assert await patient.dbsize() == 10


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (exceptions.ConnectionError("refused"), True),
        (exceptions.BusyLoadingError("loading"), True),
        (exceptions.TimeoutError("silent"), True),
        (exceptions.OutOfMemoryError("full"), True),
        (exceptions.ReadOnlyError("replica"), True),
        (exceptions.ResponseError("MISCONF Errors writing to the AOF file: No space"), True),
        (
            exceptions.ResponseError(
                "Command # 1 (SET a b) of pipeline caused error: ('MISCONF No space',)"
            ),
            True,
        ),
        (exceptions.AuthenticationError("WRONGPASS"), False),
        (exceptions.NoPermissionError("NOPERM"), False),
        (exceptions.ResponseError("ERR unknown command"), False),
        (exceptions.WatchError("changed"), False),
    ],
)
def test_what_may_pass(error: Exception, *, passing: bool) -> None:
    """Waiting helps against outages and lack of room, not against being wrong."""
    assert is_passing(error) is passing
