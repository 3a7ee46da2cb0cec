"""Promises of the exporter as a whole: it serves whatever happens to the servers."""

import asyncio
import json
import math
import socket
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.error import HTTPError

import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from contract.errors import TimedOutError, UsageError
from contract.settings import Settings, load_settings
from contract.side_door import PLAIN, Reply, Request
from headrace.exporter.exporter import Exporter, Rhythm
from tests.contract.ledger.shelf import Shelf
from tests.servers.redis import free_port, redis_tcp_server

QUICK = Rhythm(ledger=0.05, schedules=0.05, redis=0.05, milvus=0.05, drift=0.05)


class Served:
    """An exporter that serves."""

    def __init__(self, exporter: Exporter, port: int) -> None:
        """Know where."""
        self.exporter = exporter
        self.port = port

    def get(self, path: str) -> tuple[int, str]:
        """Fetch a page: status and body; OpenMetrics would be preferred."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            headers={"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310
                return reply.status, reply.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    async def page(self, path: str) -> tuple[int, str]:
        """Fetch a page beside the exporter's loop."""
        return await asyncio.to_thread(self.get, path)

    async def value(self, name: str, **labels: str) -> float:
        """Read one sample; not a number when there is none."""
        _, body = await self.page("/metrics")
        for family in text_string_to_metric_families(body):
            for sample in family.samples:
                if sample.name == f"headrace_{name}" and sample.labels == labels:
                    return float(sample.value)
        return math.nan

    async def until(self, name: str, holds: Callable[[float], bool], **labels: str) -> None:
        """Wait until a sample is as it should be."""
        deadline = time.monotonic() + 20
        while not holds(found := await self.value(name, **labels)):
            assert time.monotonic() < deadline, f"{name}{labels} is {found}"


@asynccontextmanager
async def serving(settings: Settings, rhythm: Rhythm = QUICK) -> AsyncIterator[Served]:
    """Run an exporter while the block lasts."""
    exporter, port = Exporter(settings, rhythm=rhythm), asyncio.Future[int]()

    def hello(_: Request) -> Reply:
        return Reply(200, PLAIN, b"hello")

    more = {("GET", "/hello"): hello}
    running = asyncio.create_task(exporter.run("127.0.0.1", 0, more, port.set_result))
    try:
        yield Served(exporter, await asyncio.wait_for(port, 20))
    finally:
        running.cancel()
        await asyncio.wait([running])


@pytest.fixture
def here(settings: Settings) -> Settings:
    """Give settings with a Milvus that is not there."""
    return settings.model_copy(update={"milvus_uri": f"http://127.0.0.1:{free_port()}"})


async def test_it_serves_what_it_read(here: Settings, shelf: Shelf) -> None:
    """Metrics, as plain text whatever is preferred, and pages that others bring along."""
    await shelf.commit("good")
    async with serving(here) as served:
        labels = {"collection": "books", "source": "shelf"}
        await served.until("source_chunks_total", lambda value: value == 3, **labels)
        await shelf.commit("better")
        await served.until("source_chunks_total", lambda value: value == 7, **labels)
        await served.until("redis_up", lambda value: value == 1)
        assert await served.value("redis_used_memory_bytes") > 0
        assert await served.value("redis_persistence_ok") == 1
        assert await served.value("exporter_last_success_timestamp_seconds", what="milvus") == 0
        assert await served.page("/hello") == (200, "hello")
        status, body = await served.page("/readyz")
        assert (status, json.loads(body)["ok"]) == (200, True)
        assert (await served.page("/healthz"))[0] == 200


async def test_several_serve_the_same_and_write_nothing(here: Settings, shelf: Shelf) -> None:
    """A second exporter is harmless."""
    await shelf.promise("good")
    before = {key: await shelf.redis.dump(key) async for key in shelf.redis.scan_iter("*")}
    async with serving(here) as one, serving(here) as other:
        for served in (one, other):
            await served.until("unfinished_chunks", lambda value: value == 3)
    assert before == {key: await shelf.redis.dump(key) async for key in shelf.redis.scan_iter("*")}


@pytest.mark.slow
async def test_redis_goes_away_and_comes_back(tmp_path: Path, here: Settings) -> None:
    """Scrapes go on at once, with what was read last and how old it is."""
    with redis_tcp_server(tmp_path, appendonly=True, appendfsync="always") as server:
        settings = load_settings(
            {}, tmp_path, redis_url=server.url, milvus_uri=here.milvus_uri,
            redis_timeout_seconds=1.0, connect_timeout_seconds=1.0,
        )  # fmt: skip
        async with Redis.from_url(server.url) as redis:
            await Shelf(redis).promise("good")
        rhythm = Rhythm(ledger=0.05, redis=0.05, ready=0.5)
        async with serving(settings, rhythm) as served:
            await served.until("unfinished_chunks", lambda value: value == 3)
            server.stop()
            await served.until("redis_up", lambda value: value == 0)
            assert await served.value("unfinished_chunks") == 3
            last = await served.value("exporter_last_success_timestamp_seconds", what="redis")
            assert 0 < last < time.time()
            while (await served.page("/readyz"))[0] != 503:
                assert time.time() - last < 20
            assert (await served.page("/healthz"))[0] == 200
            server.start()
            await served.until("redis_up", lambda value: value == 1)
            await served.until(
                "exporter_last_success_timestamp_seconds", lambda value: value > last, what="ledger"
            )


async def test_a_redis_that_is_not_there_at_the_start(tmp_path: Path, here: Settings) -> None:
    """It serves all the same, and shows no counter that would begin at 0."""
    settings = load_settings(
        {}, tmp_path, redis_url=f"redis://127.0.0.1:{free_port()}/0", milvus_uri=here.milvus_uri
    )
    async with serving(settings) as served:
        assert await served.value("redis_up") == 0
        assert math.isnan(await served.value("dead_letters_total", reason="other"))
        assert (await served.page("/readyz"))[0] == 503


async def test_a_milvus_that_hangs_delays_nothing(here: Settings, shelf: Shelf) -> None:
    """Its port takes connections and never answers."""
    deaf = socket.create_server(("127.0.0.1", 0))
    port = deaf.getsockname()[1]
    hanging = {"milvus_uri": f"http://127.0.0.1:{port}", "connect_timeout_seconds": 1.0}
    async with serving(here.model_copy(update=hanging)) as served:
        await served.until("active_jobs", lambda value: value == 0, state="listing")
        await shelf.promise("good")
        await served.until("unfinished_chunks", lambda value: value == 3)
        assert await served.value("milvus_up") == 0
    deaf.close()


async def test_work_for_other_threads(here: Settings, redis: Redis) -> None:
    """It is done in the exporter's loop, and given up when it takes too long."""
    await redis.set("greeting", "hello")
    async with serving(here) as served:
        exporter = served.exporter

        async def greet() -> tuple[object, int]:
            return await exporter.redis.get("greeting"), threading.get_ident()

        found, thread = await asyncio.to_thread(lambda: exporter.call(greet()))
        assert (found, thread) == (b"hello", threading.get_ident())
        with pytest.raises(TimedOutError):
            await asyncio.to_thread(lambda: exporter.call(asyncio.sleep(60), 0.01))
    with pytest.raises(TimedOutError):
        Exporter(here).call(asyncio.sleep(0))


async def test_a_port_that_is_taken(here: Settings) -> None:
    """It is an error that names the setting."""
    async with serving(here) as served:
        with pytest.raises(UsageError, match="HEADRACE_EXPORTER_PORT"):
            await Exporter(here).run("127.0.0.1", served.port, {}, lambda _: None)
