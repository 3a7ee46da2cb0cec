"""What can go wrong: each kind makes it so, and returns when it is over."""

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeAlias

import psutil
from redis.asyncio import Redis
from redis.exceptions import RedisError

from benchmarks.rig.proxy import Proxy
from benchmarks.rig.rig import COLLECTION, LEASE_SECONDS, Place, Rig
from contract.batch import decode
from contract.ledger.ledger import Ledger
from contract.queue import announce

Fault: TypeAlias = Callable[[Rig, random.Random], Awaitable[None]]

_ALL = 1_000_000
"""Requests: more than come."""
_TOGETHER = 10
_COPIES = 3


# --- processes


async def kill_worker(rig: Rig, draw: random.Random) -> None:
    """Kill a worker; its supervisor starts another."""
    await _any(rig, draw).program.send(signal.SIGKILL)


async def kill_both_workers(rig: Rig, draw: random.Random) -> None:
    """Kill all workers, almost at once."""
    for place in rig.workers:
        await place.program.send(signal.SIGKILL)
        await asyncio.sleep(draw.uniform(0, 0.3))


async def stop_worker(rig: Rig, draw: random.Random) -> None:
    """Stop a worker for longer than its leases last, then let it go on."""
    place = _any(rig, draw)
    pid = await place.program.send(signal.SIGSTOP)
    await asyncio.sleep(LEASE_SECONDS * draw.uniform(1.3, 2.2))
    if place.program.pid == pid:
        await place.program.send(signal.SIGCONT)


async def kill_producer(rig: Rig, draw: random.Random) -> None:
    """Kill an import at any moment of it."""
    await asyncio.sleep(draw.uniform(0, 3))
    await rig.importer.kill()


async def kill_scheduler(rig: Rig, _draw: random.Random) -> None:
    """Kill the scheduler."""
    await rig.scheduler.send(signal.SIGKILL)


async def kill_redis(rig: Rig, draw: random.Random) -> None:
    """Kill Redis and bring it back."""
    await rig.without(rig.redis, draw.uniform(0.1, 3))


async def kill_milvus(rig: Rig, draw: random.Random) -> None:
    """Kill Milvus and bring it back."""
    await rig.without(rig.milvus, draw.uniform(0.1, 3))


# --- the network


async def drop_redis(rig: Rig, draw: random.Random) -> None:
    """Cut the workers' connections to Redis, some times."""
    await _drop([place.redis for place in _some(rig, draw)], draw)


async def drop_milvus(rig: Rig, draw: random.Random) -> None:
    """Cut the workers' connections to Milvus, some times."""
    await _drop([place.milvus for place in _some(rig, draw)], draw)


async def refuse_redis(rig: Rig, draw: random.Random) -> None:
    """Refuse connections to Redis for a while."""
    await _refuse([place.redis for place in _some(rig, draw)], draw.uniform(1, 6))


async def refuse_milvus(rig: Rig, draw: random.Random) -> None:
    """Refuse connections to Milvus for a while."""
    await _refuse([place.milvus for place in _some(rig, draw)], draw.uniform(1, 6))


async def swallow_redis(rig: Rig, draw: random.Random) -> None:
    """Swallow what workers and Redis say to each other."""
    await _swallow([place.redis for place in _some(rig, draw)], draw.uniform(1, 6))


async def swallow_milvus(rig: Rig, draw: random.Random) -> None:
    """Swallow what workers and Milvus say to each other."""
    await _swallow([place.milvus for place in _some(rig, draw)], draw.uniform(1, 6))


async def delay_milvus(rig: Rig, draw: random.Random) -> None:
    """Let what workers write reach Milvus after their leases have ended."""
    proxies = [place.milvus for place in _some(rig, draw)]
    for proxy in proxies:
        proxy.hold()
    await asyncio.sleep(LEASE_SECONDS * draw.uniform(1.1, 1.8))
    for proxy in proxies:
        proxy.release()


# --- the endpoint


def endpoint(lowest_seconds: float, highest_seconds: float, **faults: object) -> Fault:
    """Give a fault during which the endpoint does something wrong."""

    async def fault(rig: Rig, draw: random.Random) -> None:
        await asyncio.to_thread(rig.endpoint.faults, **faults)
        try:
            await asyncio.sleep(draw.uniform(lowest_seconds, highest_seconds))
        finally:
            await rig.calm()

    return fault


# --- messages


async def duplicate_messages(rig: Rig, draw: random.Random) -> None:
    """Announce batches that wait or are at work some times more."""
    found = sorted(rig.tap.unfinished)
    await _announce(rig, draw.sample(found, min(len(found), _TOGETHER)) * _COPIES)


async def late_messages(rig: Rig, draw: random.Random) -> None:
    """Announce batches that were finished long ago."""
    await _announce(rig, _old(rig, draw) * _COPIES)


async def late_batches(rig: Rig, draw: random.Random) -> None:
    """Publish batches once more that were finished: none may be written down."""
    old = _old(rig, draw)
    try:
        async with Redis.from_url(rig.redis.url) as client:  # no connection from before a fault
            ledger = Ledger(client, COLLECTION)
            await ledger.publish([decode(rig.tap.payloads[batch]) for batch in old])
            revived = [batch for batch in old if await client.exists(ledger.keys.batch(batch))]
    except RedisError as error:
        rig.say(f"late batches not published: {error}")
        return
    if revived:
        rig.violations.append(f"late batches came to life again: {revived}")
    await _announce(rig, old)


# --- Redis


@contextlib.asynccontextmanager
async def memory_is_full(rig: Rig) -> AsyncIterator[None]:
    """Let Redis refuse whatever needs memory while the block lasts."""
    used = (await rig.client.info("memory"))["used_memory"]
    await rig.client.config_set("maxmemory", int(used * 0.8))
    try:
        yield
    finally:
        await rig.client.config_set("maxmemory", 0)


@contextlib.asynccontextmanager
async def disk_is_full(rig: Rig) -> AsyncIterator[None]:
    """Let Redis find its disk full while the block lasts: no file of it may grow any more."""
    process = psutil.Process(rig.redis.pid)
    hard = psutil.RLIM_INFINITY
    log = next((rig.folder / "redis" / "appendonlydir").glob("*.incr.aof"))
    process.rlimit(psutil.RLIMIT_FSIZE, (log.stat().st_size, hard))
    try:
        yield
    finally:
        process.rlimit(psutil.RLIMIT_FSIZE, (hard, hard))


async def full_memory(rig: Rig, draw: random.Random) -> None:
    """Let Redis run out of memory for a while."""
    async with memory_is_full(rig):
        await asyncio.sleep(draw.uniform(1, 5))


async def full_disk(rig: Rig, draw: random.Random) -> None:
    """Let Redis run out of disk for a while."""
    async with disk_is_full(rig):
        await asyncio.sleep(draw.uniform(1, 5))


async def nothing(_rig: Rig, _draw: random.Random) -> None:
    """Do nothing: how long it takes to the next batch when all is well."""


FAULTS: dict[str, Fault] = {
    "none": nothing,
    "kill worker": kill_worker,
    "kill both workers": kill_both_workers,
    "stop worker": stop_worker,
    "kill producer": kill_producer,
    "kill scheduler": kill_scheduler,
    "kill redis": kill_redis,
    "kill milvus": kill_milvus,
    "drop redis": drop_redis,
    "drop milvus": drop_milvus,
    "refuse redis": refuse_redis,
    "refuse milvus": refuse_milvus,
    "swallow redis": swallow_redis,
    "swallow milvus": swallow_milvus,
    "delay milvus": delay_milvus,
    "429": endpoint(1, 5, status=429, status_requests=_ALL),
    "429 retry-after": endpoint(1, 5, status=429, status_requests=_ALL, retry_after_seconds=1.5),
    "500": endpoint(1, 5, status=500, status_requests=_ALL),
    "hang": endpoint(1, 6, hang_requests=_ALL),
    "half an answer": endpoint(1, 3, cut_requests=_ALL),
    "wrong dimensions": endpoint(0.3, 1.5, wrong_dimension=True),
    "nan": endpoint(0.3, 1.5, nan=True),
    "too few vectors": endpoint(0.3, 1.5, short=True),
    "other order": endpoint(1, 4, shuffled=True),
    "duplicate messages": duplicate_messages,
    "late messages": late_messages,
    "late batches": late_batches,
    "full memory": full_memory,
    "full disk": full_disk,
}


def kinds_here() -> list[str]:
    """Name the kinds of faults that can be made on this system."""
    limits = hasattr(psutil, "RLIMIT_FSIZE")
    return [kind for kind in FAULTS if kind != "full disk" or limits]


def _any(rig: Rig, draw: random.Random) -> Place:
    return draw.choice(rig.workers)


def _some(rig: Rig, draw: random.Random) -> Sequence[Place]:
    """Give one worker, or all."""
    return rig.workers if draw.random() < 0.5 else [_any(rig, draw)]  # noqa: PLR2004 - a half


def _old(rig: Rig, draw: random.Random) -> list[str]:
    found = rig.tap.finished_ids()
    return draw.sample(found, min(len(found), _TOGETHER))


async def _announce(rig: Rig, batches: list[str]) -> None:
    await asyncio.to_thread(announce, rig.app, COLLECTION, batches)


async def _drop(proxies: Sequence[Proxy], draw: random.Random) -> None:
    for _ in range(draw.randint(1, 4)):
        for proxy in proxies:
            proxy.drop()
        await asyncio.sleep(draw.uniform(0.1, 1))


async def _refuse(proxies: Sequence[Proxy], seconds: float) -> None:
    for proxy in proxies:
        proxy.refuse()
    await asyncio.sleep(seconds)
    for proxy in proxies:
        await proxy.open()


async def _swallow(proxies: Sequence[Proxy], seconds: float) -> None:
    for proxy in proxies:
        proxy.swallow()
    await asyncio.sleep(seconds)
    for proxy in proxies:
        proxy.heal()
