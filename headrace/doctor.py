"""A look at everything that a run needs, with advice."""

import asyncio
import platform
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from redis.asyncio import Redis

from contract.errors import EmbeddingDeniedError, HeadraceError, TransientError
from contract.ledger.connection import check, connect, translated
from contract.presence import PRODUCERS_KEY, present_workers
from contract.settings import Settings, address
from headrace.schedules.book import Book
from headrace.session import Session
from worker.embedding.build import make_embedder
from worker.milvus import connect as connect_milvus
from worker.milvus import quiet_libraries

Verdict = Literal["ok", "warning", "wrong", "unreachable"]

NAMED = 5
"""Schedules that are overdue, of any number."""

_USELESS = frozenset({"wrong", "unreachable"})


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one thing."""

    subject: str
    verdict: Verdict
    message: str
    advice: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Give the fields, for JSON."""
        return asdict(self)


async def examine(session: Session) -> list[Finding]:
    """Look at Python, Redis, Milvus, the embedding model, workers and schedules."""
    quiet_libraries()
    settings = session.settings
    kind = "embedded" if session.is_local else "configured"
    redis = connect(settings)
    try:
        found = [
            Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}"),
            *await _looked("redis", lambda: _redis(redis, settings, kind)),
            *await _looked("milvus", lambda: _milvus(settings, kind)),
            *await _looked("embedding", lambda: _embedding(settings)),
        ]
        silent = any(f.subject == "redis" and f.verdict in _USELESS for f in found)
        if not session.is_local and not silent:
            found += await _looked("workers", lambda: _workers(redis))
        if not silent:
            found += await _looked("schedules", lambda: _schedules(redis))
        if settings.exporter_port:
            found += await _looked("exporter", lambda: _exporter(settings))
    finally:
        await redis.aclose()
    return found


async def _looked(subject: str, look: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    try:
        return await look()
    except EmbeddingDeniedError as error:  # transient for batches, which wait until it is mended
        return [Finding(subject, "wrong", str(error))]
    except TransientError as error:
        return [Finding(subject, "unreachable", str(error))]
    except HeadraceError as error:
        return [Finding(subject, "wrong", str(error))]


async def _redis(redis: Redis, settings: Settings, kind: str) -> list[Finding]:
    await check(redis, settings)
    with translated(settings):
        server = await redis.info("server")
        memory = await redis.info("memory")
        persistence = await redis.info("persistence")
    where = address(settings.redis_url) if settings.redis_url else ""
    version = server.get("valkey_version") or server["redis_version"]
    found = [Finding("redis", "ok", f"{kind}, version {version} at {where}")]
    if not persistence.get("aof_enabled"):
        advice = "set appendonly yes, appendfsync everysec"
        found.append(Finding("redis", "warning", "a restart loses the ledger", advice))
    if memory.get("maxmemory_policy") != "noeviction":
        advice = "set maxmemory-policy noeviction"
        found.append(Finding("redis", "warning", "may evict the ledger when full", advice))
    return found


async def _milvus(settings: Settings, kind: str) -> list[Finding]:
    client = await asyncio.to_thread(connect_milvus, settings)
    try:
        version = await asyncio.to_thread(client.get_server_version)
    finally:
        await asyncio.to_thread(client.close)
    where = address(settings.milvus_uri or "")
    return [Finding("milvus", "ok", f"{kind}, version {version} at {where}")]


async def _embedding(settings: Settings) -> list[Finding]:
    embedder = make_embedder(settings)
    try:
        model = await embedder.identify()
        await embedder.embed(["headrace"])
    finally:
        await embedder.aclose()
    return [Finding("embedding", "ok", f"{settings.embedding_provider}: {model}")]


async def _workers(redis: Redis) -> list[Finding]:
    names = await present_workers(redis)
    if names:
        return [Finding("workers", "ok", f"{len(names)} running")]
    return [Finding("workers", "warning", "none is running", "start one with: headrace worker")]


async def _exporter(settings: Settings) -> list[Finding]:
    where = f"{settings.metrics_host}:{settings.exporter_port}"
    try:
        async with asyncio.timeout(settings.connect_timeout_seconds):
            _, writer = await asyncio.open_connection(settings.metrics_host, settings.exporter_port)
    except (OSError, TimeoutError):
        advice = "start one with: headrace exporter"
        return [Finding("exporter", "warning", f"none answers at {where}", advice)]
    writer.close()
    return [Finding("exporter", "ok", f"at {where}")]


async def _schedules(redis: Redis) -> list[Finding]:
    entries = await Book(redis).entries()
    if not entries:
        return []
    now_ms = round(time.time() * 1000)
    overdue = [entry.schedule.name for entry in entries if entry.is_overdue(now_ms)]
    found = [Finding("schedules", "ok", f"{len(entries)}, none is overdue")]
    if overdue:
        what = f"{len(overdue)} of {len(entries)} are overdue: {', '.join(overdue[:NAMED])}"
        found = [Finding("schedules", "warning", what, "start: headrace scheduler")]
    if not await present_workers(redis, PRODUCERS_KEY):
        what = "no producer worker is running"
        found.append(Finding("schedules", "warning", what, "start one with: headrace producer"))
    return found
