"""The worker as a process: how it starts, works, drains and ends."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
from redis.asyncio import Redis

from contract.ledger.connection import connect as connect_redis
from contract.ledger.records import ClaimState
from contract.presence import present_workers
from contract.queue import announce, make_app
from contract.settings import Settings
from tests.servers.endpoint import FakeEndpoint
from tests.servers.redis import redis_tcp_server
from tests.servers.worker import COMMAND, WorkerProgram, environment, until, worker_program
from tests.worker.conftest import drop
from tests.worker.shop import Shop
from worker.milvus import connect

FINISHED = 'headrace_batches_total{outcome="finished"}'


@pytest.fixture
def all_settings(lite_settings: Settings, endpoint: FakeEndpoint, collection: str) -> Settings:
    """Give settings of a worker that has everything it needs."""
    changes = {
        "collection": collection,
        "embedding_provider": "openai",
        "embedding_base_url": endpoint.url,
        "embedding_api_key": "no-key",
        "embedding_dimensions": 384,
        "worker_concurrency": 2,
    }
    return Settings.model_validate(lite_settings.model_dump() | changes)


@contextlib.asynccontextmanager
async def shop_of(settings: Settings) -> AsyncIterator[Shop]:
    """Open a shop before the workers of these settings."""
    redis = connect_redis(settings)
    client = await asyncio.to_thread(connect, settings)
    yield Shop(redis, client, settings.collection)
    drop(client, settings.collection)
    client.close()
    await redis.aclose()


@pytest.fixture
async def shop(redis: Redis, all_settings: Settings) -> AsyncIterator[Shop]:
    """Give a shop on empty servers."""
    async with shop_of(all_settings) as shop:
        yield shop


async def hand_in(settings: Settings, shop: Shop, **documents: str) -> str:
    """Publish documents as one batch, and tell the workers."""
    batch_id = await shop.order(**documents)
    app = make_app(settings)
    await asyncio.to_thread(announce, app, shop.collection, [batch_id])
    await asyncio.to_thread(app.close)
    return batch_id


async def eventually(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Wait until a condition holds, off the event loop."""
    await asyncio.to_thread(until, condition, what, seconds)


async def until_finished(shop: Shop, seconds: float = 30.0) -> None:
    """Wait until nothing is left to do."""
    deadline = time.monotonic() + seconds
    while not await shop.finished():
        assert time.monotonic() < deadline, "the batch was not finished"
        await asyncio.sleep(0.02)


def variables(folder: Path, settings: Settings, **changes: object) -> dict[str, str]:
    """Spell settings as a worker's environment."""
    changed = Settings.model_validate(settings.model_dump() | changes)
    return {**environment(folder), **changed.environment()}


def run(folder: Path, variables: dict[str, str]) -> tuple[int, str]:
    """Run a worker that is to end by itself; gives its exit code and what it wrote."""
    done = subprocess.run(
        COMMAND, env=variables, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stderr


def test_wrong_settings_are_named_together(tmp_path: Path) -> None:
    """The worker ends with 2 and names every wrong setting, so that no supervisor loops."""
    wrong = environment(tmp_path, lease_seconds=1, worker_concurrency="many", nonsense=1)
    code, said = run(tmp_path, wrong)
    assert code == 2
    for name in ("LEASE_SECONDS", "WORKER_CONCURRENCY", "NONSENSE"):
        assert f"HEADRACE_{name}" in said
    assert "Traceback" not in said


def test_a_configuration_that_can_never_work_ends_the_worker(
    tmp_path: Path, all_settings: Settings
) -> None:
    """An embedding provider that is not there is found at the start, and told in one line."""
    code, said = run(
        tmp_path, variables(tmp_path, all_settings, embedding_provider="nowhere:Model")
    )
    assert code == 2
    assert "nowhere" in said
    assert "Traceback" not in said


async def test_a_batch_goes_through_and_sigterm_ends_the_worker(
    tmp_path: Path, all_settings: Settings, shop: Shop, endpoint: FakeEndpoint
) -> None:
    """Messages are worked on, metrics and health tell of it, and SIGTERM lets the rest end."""
    with worker_program(tmp_path, variables(tmp_path, all_settings)) as worker:
        await hand_in(all_settings, shop, one="a b c", two="d")
        await until_finished(shop)
        assert shop.rows() == {"one": ["a", "b", "c"], "two": ["d"]}
        await eventually(lambda: worker.metric(FINISHED) == 1, "the metric")
        assert worker.metric("headrace_chunks_total") == 4
        for lane in ("bulk", "live"):
            slots = f'headrace_worker_slots{{lane="{lane}",state="total"}}'
            assert worker.metric(slots) == 2
        assert worker.health()["ok"]
        assert len(await present_workers(shop.redis)) == 1
        await drains(worker, all_settings, shop, endpoint)
    assert await present_workers(shop.redis) == []


async def drains(
    worker: WorkerProgram, settings: Settings, shop: Shop, endpoint: FakeEndpoint
) -> None:
    """What is in flight at SIGTERM is finished, and nothing is claimed after it."""
    endpoint.faults(latency_seconds=1.5)
    await hand_in(settings, shop, three="e")
    await eventually(lambda: worker.metric("headrace_batches_in_flight") == 1, "the claim")
    worker.terminate()
    await eventually(lambda: worker.health().get("draining"), "the drain")
    late = await hand_in(settings, shop, four="f")
    assert await asyncio.to_thread(worker.exit_code) == 0
    assert shop.rows() == {"one": ["a", "b", "c"], "two": ["d"], "three": ["e"]}
    claim = await shop.ledger.claim(late, "next", 1.0)
    assert (claim.state, claim.attempts, claim.crashes) == (ClaimState.CLAIMED, 0, 0)
    assert not worker.said("Traceback")


async def test_a_hanging_endpoint_does_not_hold_the_end(
    tmp_path: Path, all_settings: Settings, shop: Shop, endpoint: FakeEndpoint
) -> None:
    """After drain_seconds what is in flight is given back, at once and without blame."""
    endpoint.faults(hang_requests=10)
    variables_ = variables(tmp_path, all_settings, drain_seconds=1.0)
    with worker_program(tmp_path, variables_) as worker:
        batch_id = await hand_in(all_settings, shop, one="a")
        await eventually(lambda: worker.metric("headrace_batches_in_flight") == 1, "the claim")
        begun = time.monotonic()
        worker.terminate()
        assert await asyncio.to_thread(worker.exit_code) == 0
        assert 0.9 < time.monotonic() - begun < 10
        claim = await shop.ledger.claim(batch_id, "next", 1.0)
        assert (claim.state, claim.attempts, claim.crashes) == (ClaimState.CLAIMED, 0, 0)
        assert not worker.said("Traceback")


def test_a_worker_ends_with_its_parent(tmp_path: Path, all_settings: Settings) -> None:
    """Killed as it may be, the command that started workers leaves none behind."""
    program = (
        "import os, subprocess, sys\n"
        "os.environ['HEADRACE_PARENT_PID'] = str(os.getpid())\n"
        "worker = subprocess.Popen(sys.argv[1:], stderr=open('worker.log', 'wb'))\n"
        "print(worker.pid, flush=True)\n"
        "worker.wait()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, *COMMAND],
        cwd=tmp_path,
        env=variables(tmp_path, all_settings),
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        log = tmp_path / "worker.log"
        try:
            until(lambda: " ready." in log.read_text(encoding="utf-8"), "start", 60)
            parent.kill()
            until(lambda: has_ended(worker), "the worker's end")
        finally:
            parent.kill()
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
    assert "parent is gone" in log.read_text(encoding="utf-8")


def has_ended(process: psutil.Process) -> bool:
    """Tell whether a process has ended; nobody may have asked for its exit code yet."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


async def test_a_worker_outlives_its_broker(
    tmp_path: Path, all_settings: Settings, endpoint: FakeEndpoint
) -> None:
    """Redis is killed in the middle of a batch and comes back: the worker goes on."""
    with redis_tcp_server(tmp_path, appendonly=True) as server:
        changes = {"redis_url": server.url, "lease_seconds": 3}
        settings = Settings.model_validate(all_settings.model_dump() | changes)
        async with shop_of(settings) as shop:
            with worker_program(tmp_path, variables(tmp_path, settings)) as worker:
                endpoint.faults(latency_seconds=1.5)
                await hand_in(settings, shop, one="a")
                await eventually(
                    lambda: worker.metric("headrace_batches_in_flight") == 1, "the claim"
                )
                server.kill()
                server.start()
                endpoint.reset()
                await until_finished(shop, 40)
                await hand_in(settings, shop, two="b")
                await until_finished(shop, 40)
                assert shop.rows() == {"one": ["a"], "two": ["b"]}
                assert worker.process.poll() is None
