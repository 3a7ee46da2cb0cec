"""What producer workers and schedulers serve: metrics, health, readiness."""

import asyncio
import contextlib
import json
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from redis.asyncio import Redis

from contract.errors import UsageError
from contract.settings import Settings
from contract.tasks import end
from headrace.scheduler import keep_order
from headrace.schedules.book import Book
from headrace.schedules.metrics import ENDS, FIRED, RunMetrics, SchedulerMetrics
from headrace.schedules.process import ProducerProcess
from headrace.schedules.run import RunState
from headrace.schedules.schedule import Schedule
from headrace.schedules.timetable import Timetable
from headrace.session import Session
from tests.headrace.schedules.runs import MINUTE, added
from tests.servers.redis import free_port


class Door:
    """The side door of a process."""

    def __init__(self, port: int) -> None:
        """Be told where it is."""
        self.port = port

    async def get(self, path: str) -> tuple[int, str]:
        """Fetch a page; status 0 when nothing answers."""
        return await asyncio.to_thread(self._get, path)

    def _get(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except urllib.error.URLError:
            return 0, ""

    async def value(self, series: str) -> float | None:
        """Read one sample; None when there is none."""
        _, served = await self.get("/metrics")
        for line in served.splitlines():
            if line.startswith(f"headrace_{series} "):
                return float(line.rpartition(" ")[2])
        return None


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 20
    while not await holds():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.02)


@asynccontextmanager
async def producer(settings: Settings) -> AsyncIterator[ProducerProcess]:
    """Run the inside of a producer worker."""
    process = ProducerProcess(settings)
    await asyncio.to_thread(process.start)
    try:
        yield process
    finally:
        await asyncio.to_thread(process.stop)


def test_every_series_is_there_from_the_start() -> None:
    """No run, and no slot, creates one; there are few, and Prometheus' names for them."""
    runs, scheduling = RunMetrics(CollectorRegistry()), SchedulerMetrics(CollectorRegistry())
    before = [_series(made.registry) for made in (runs, scheduling)]
    for state in ENDS:
        runs.ended(state, 1.0)
    for outcome in FIRED:
        scheduling.dealt_with(outcome, 0.1)
    runs.watch_slots(2, lambda: 1)
    assert [_series(made.registry) for made in (runs, scheduling)] == before
    for made in (runs, scheduling):
        assert len(_series(made.registry)) < 100
        for family in made.registry.collect():
            assert re.fullmatch(r"headrace_[a-z][a-z_]*[a-z]", family.name), family.name


def _series(registry: CollectorRegistry) -> set[str]:
    lines = generate_latest(registry).decode().splitlines()
    return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}


async def test_the_lateness_of_slots_is_told(redis: Redis) -> None:
    """Of those that were dealt with here; who comes second is told of no time."""
    told: list[tuple[str, float | None]] = []
    book = Book(redis, lambda outcome, seconds: told.append((outcome, seconds)))
    zero = await added(book)
    await book.fire("nightly", zero + MINUTE + 2_500)
    await book.fire("nightly", zero + MINUTE + 2_500)
    await book.fire("absent", zero + MINUTE)
    assert told == [("waiting", 2.5), ("nothing", None), ("nothing", None)]


async def test_a_producer_counts_its_runs(settings: Settings, redis: Redis) -> None:
    """A run that fails is one that ended, and holds no place any more."""
    settings = settings.model_copy(update={"metrics_port": free_port()})
    door = Door(settings.metrics_port)
    book = Book(redis)
    zero = await added(book)  # of a folder that is not there
    await book.fire("nightly", zero + MINUTE)
    (run,) = await book.runs("nightly")
    async with producer(settings) as process:
        assert (await door.get("/readyz"))[0] == 200
        assert (await door.get("/healthz"))[0] == 200
        assert await door.value('run_slots{state="total"}') == settings.run_slots
        await asyncio.to_thread(process.run, run.id)
        assert await door.value('runs_total{outcome="failed"}') == 1
        assert await door.value("run_duration_seconds_count") == 1
        assert await door.value('run_slots{state="busy"}') == 0
        process.drain()
        status, shown = await door.get("/readyz")
        assert status == 503
        assert json.loads(shown)["draining"]
    (run,) = await book.runs("nightly")
    assert run.state is RunState.FAILED
    assert (await door.get("/healthz"))[0] == 0


async def test_a_producer_without_redis_is_alive_and_not_ready(
    settings: Settings, tmp_path: Path
) -> None:
    """Nobody restarts it for an outage."""
    changes = {"metrics_port": free_port(), "redis_url": f"unix://{tmp_path}/nobody.sock"}
    settings = Settings.model_validate(settings.model_dump() | changes)
    async with producer(settings):
        status, shown = await Door(settings.metrics_port).get("/readyz")
        assert status == 503
        assert json.loads(shown)["waiting_for"] == ["redis"]
        assert (await Door(settings.metrics_port).get("/healthz"))[0] == 200


async def test_a_scheduler_tells_what_it_does(
    settings: Settings, redis: Redis, milvus_lite_uri: str
) -> None:
    """Slots are counted as they are due, with how late they were dealt with."""
    changes = {"metrics_port": free_port(), "milvus_uri": milvus_lite_uri}
    settings = settings.model_copy(update=changes)
    door = Door(settings.metrics_port)
    timetable = Timetable(every_seconds=1)
    schedule = Schedule("often", "/srv/docs", timetable, source="docs")
    assert await Book(redis).put(schedule.checked(), replace=False)
    keeping = asyncio.create_task(keep_order(Session(settings, is_local=False)))
    try:

        async def fired() -> bool:
            assert not keeping.done(), keeping
            return bool(await door.value('scheduler_fired_total{outcome="waiting"}'))

        await until(fired, "no schedule was seen to be due")
        assert (await door.value("scheduler_lag_seconds_count") or 0) >= 1
        assert await door.value("event_loop_lag_seconds_count") is not None
        for path in ("/readyz", "/healthz"):
            assert (await door.get(path))[0] == 200
    finally:
        await end(keeping)
    assert (await door.get("/healthz"))[0] == 0


async def test_a_port_that_is_taken_is_told_at_the_start(
    settings: Settings, milvus_lite_uri: str
) -> None:
    """Neither runs unwatched."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        changes = {"metrics_port": other.getsockname()[1], "milvus_uri": milvus_lite_uri}
        settings = settings.model_copy(update=changes)
        process = ProducerProcess(settings)
        with pytest.raises(UsageError, match="HEADRACE_METRICS_PORT"):
            await asyncio.to_thread(process.start)
        with contextlib.suppress(TimeoutError):
            await asyncio.to_thread(process.stop)
        with pytest.raises(UsageError, match="HEADRACE_METRICS_PORT"):
            await keep_order(Session(settings, is_local=False))
