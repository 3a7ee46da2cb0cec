"""How a worker process begins, drains and ends, in this process."""

import asyncio
import socket
import threading
import time
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pymilvus import MilvusClient
from redis.asyncio import Redis

from contract.errors import UsageError
from contract.lane import Lane
from contract.ledger.records import ClaimState
from contract.presence import present_workers, troubles_of
from contract.queue import make_app
from contract.settings import Settings
from tests.servers.endpoint import FakeEndpoint
from tests.servers.redis import free_port, redis_tcp_server
from tests.worker.shop import Shop
from worker.breaker import Dependency
from worker.identity import worker_id_prefix
from worker.lifecycle import FAILED, WorkerProcess


@pytest.fixture
def all_settings(lite_settings: Settings, endpoint: FakeEndpoint) -> Settings:
    """Give settings of a worker that has everything it needs."""
    changes = {
        "embedding_provider": "openai",
        "embedding_base_url": endpoint.url,
        "embedding_api_key": "no-key",
        "embedding_dimensions": 384,
        "drain_seconds": 0.1,
    }
    return Settings.model_validate(lite_settings.model_dump() | changes)


@pytest.fixture
def shop(redis: Redis, lite_client: MilvusClient, collection: str) -> Shop:
    """Give a shop on empty servers."""
    return Shop(redis, lite_client, collection)


@pytest.fixture
async def process(all_settings: Settings) -> AsyncIterator[WorkerProcess]:
    """Start a worker's inside, and stop it at the end."""
    process = WorkerProcess(all_settings, make_app(all_settings))
    await asyncio.to_thread(process.start)
    yield process
    if not process._closing:
        await asyncio.to_thread(process.stop)


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as reply:  # noqa: S310 - our own
        return str(reply.read().decode())


def outcomes(process: WorkerProcess) -> dict[str, float]:
    """Read how many batches ended in which way."""
    (family,) = process.metrics.batches.collect()
    return {
        sample.labels["outcome"]: sample.value
        for sample in family.samples
        if sample.name.endswith("_total") and sample.value
    }


def breaker_gauge(process: WorkerProcess) -> dict[str, float]:
    """Read which servers are away, by the metrics."""
    (family,) = process.metrics.breaker_open.collect()
    return {sample.labels["dependency"]: sample.value for sample in family.samples}


async def test_a_batch_is_ingested_from_a_thread(process: WorkerProcess, shop: Shop) -> None:
    """The call that Celery's thread makes returns when the batch is finished."""
    batch_id = await shop.order(one="a b")
    await asyncio.to_thread(process.ingest, shop.collection, batch_id, Lane.BULK)
    assert shop.rows() == {"one": ["a", "b"]}
    assert outcomes(process) == {"finished": 1}
    assert process.health()["ok"]


async def test_what_a_worker_does_is_served(all_settings: Settings, shop: Shop) -> None:
    """By /metrics: requests to its servers, ages, and that what it wrote can be found."""
    settings = all_settings.model_copy(update={"metrics_port": free_port()})
    process = WorkerProcess(settings, make_app(settings))
    await asyncio.to_thread(process.start)
    url = f"http://127.0.0.1:{settings.metrics_port}/metrics"

    async def value(series: str) -> float:
        served = await asyncio.to_thread(_get, url)
        (line,) = [line for line in served.splitlines() if line.startswith(f"headrace_{series} ")]
        return float(line.rpartition(" ")[2])

    batch_id = await shop.order(one="a b")
    assert await value('embedding_requests_total{code="2xx"}') == 0
    await asyncio.to_thread(process.ingest, shop.collection, batch_id, Lane.BULK)
    assert await value('embedding_requests_total{code="2xx"}') == 1
    assert await value("embedding_request_duration_seconds_count") == 1
    assert await value('store_request_duration_seconds_count{op="upsert"}') == 1
    assert await value('time_to_commit_seconds_count{lane="bulk"}') == 1
    assert await value('queue_wait_seconds_count{lane="bulk"}') == 1
    deadline = time.monotonic() + 10
    while await value('probes_total{outcome="visible"}') < 1:
        assert time.monotonic() < deadline, "nobody looked, or nothing was seen"
    assert await value('time_to_searchable_seconds_count{lane="bulk"}') == 1
    assert await value('worker_slots{lane="bulk",state="total"}') == settings.worker_concurrency
    assert await value('embedding_info{model="text-embedding-3-small",provider="openai"}') == 1
    await asyncio.to_thread(process.stop)


async def test_who_drains_claims_nothing(process: WorkerProcess, shop: Shop) -> None:
    """A message that comes after the drain began is left to others."""
    batch_id = await shop.order(one="a b")
    process.drain()
    await asyncio.to_thread(process.ingest, shop.collection, batch_id, Lane.BULK)
    assert outcomes(process) == {}
    assert process.health()["draining"]
    assert (await shop.ledger.claim(batch_id, "next", 1.0)).state is ClaimState.CLAIMED


async def test_the_end_of_the_drain_does_not_cut_the_closing_short(process: WorkerProcess) -> None:
    """Clients are closed to the last, also when the time to drain ends meanwhile."""
    closed = threading.Event()

    async def close_slowly() -> None:
        await asyncio.sleep(0.3)
        closed.set()

    process._clients.push_async_callback(close_slowly)
    process.drain()
    await asyncio.to_thread(process.stop)
    assert closed.is_set()


async def test_one_client_that_can_not_close_does_not_keep_the_others_open(
    process: WorkerProcess,
) -> None:
    """Whatever fails at the end, the rest is closed, and the loop's thread ends."""
    closed = threading.Event()

    async def close() -> None:
        closed.set()

    async def fail() -> None:
        raise ConnectionError("already gone")

    process._clients.push_async_callback(close)
    process._clients.push_async_callback(fail)
    with pytest.raises(ConnectionError):
        await asyncio.to_thread(process.stop)
    assert closed.is_set()
    assert process._loop is not None
    assert not process._loop._thread.is_alive()


async def test_an_outage_of_redis_ends_no_task_with_an_error(
    all_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A batch whose ledger is away counts as lost; its lease runs out by itself."""
    path = tmp_path_factory.mktemp("nobody") / "redis.sock"
    changes = {
        "redis_url": f"unix://{path}",
        "redis_timeout_seconds": 0.2,
        "outage_patience_seconds": 0.2,
    }
    settings = Settings.model_validate(all_settings.model_dump() | changes)
    process = WorkerProcess(settings, make_app(settings))
    await asyncio.to_thread(process.start)
    await asyncio.to_thread(process.ingest, "shelf", "batch", Lane.BULK)
    assert outcomes(process) == {"lost": 1}
    await asyncio.to_thread(process.stop)


async def test_what_a_worker_waits_for_is_shown(process: WorkerProcess, shop: Shop) -> None:
    """A breaker that opens is seen in the health, the metrics and the status, and takes no ear."""
    assert process._hearing(Lane.LIVE).can_take
    assert process._inside is not None
    process._inside.troubles.note(Dependency.MILVUS, True, "away")  # noqa: FBT003 - its interface
    assert process.health()["waiting_for"] == ["milvus"]
    assert breaker_gauge(process) == {"embedding": 0, "milvus": 1}
    assert not process._hearing(Lane.LIVE).can_take, "who waits for a server is not deaf"
    deadline = time.monotonic() + 10
    while not (troubles := await troubles_of(shop.redis, await present_workers(shop.redis))):
        assert time.monotonic() < deadline, "the status did not tell"
        await asyncio.sleep(0.02)
    (((trouble,)),) = troubles.values()
    assert (trouble.dependency, trouble.reason) == ("milvus", "away")
    process._inside.troubles.note(Dependency.MILVUS, False, "back")  # noqa: FBT003 - its interface
    assert process.health()["waiting_for"] == []
    assert breaker_gauge(process) == {"embedding": 0, "milvus": 0}


async def test_a_worker_does_not_go_on_by_half(
    all_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When something in the background fails for good, the process makes room for a new one."""
    with redis_tcp_server(tmp_path, password="sesame") as server:  # noqa: S106 - of this test
        changes = {"redis_url": server.url.replace("sesame", "wrong")}
        settings = Settings.model_validate(all_settings.model_dump() | changes)
        process = WorkerProcess(settings, make_app(settings))
        codes: list[int] = []
        monkeypatch.setattr(process, "leave", codes.append)
        await asyncio.to_thread(process.start)
        deadline = time.monotonic() + 10
        while not codes:
            assert time.monotonic() < deadline, "nobody noticed"
            await asyncio.sleep(0.02)
        await asyncio.to_thread(process.stop)
    assert set(codes) == {FAILED}


def test_a_port_that_is_taken_is_told_at_the_start(all_settings: Settings) -> None:
    """A worker that could not be watched does not run."""
    with socket.socket() as other:
        port = free_port()
        other.bind(("127.0.0.1", port))
        other.listen()
        settings = all_settings.model_copy(update={"metrics_port": port})
        process = WorkerProcess(settings, make_app(settings))
        with pytest.raises(UsageError, match=str(port)):
            process.start()
        process.stop()


def test_an_owner_names_its_machine_and_process() -> None:
    """Whoever started workers can tell which leases were theirs."""
    assert worker_id_prefix(4711) == f"{socket.gethostname()}:4711:"
