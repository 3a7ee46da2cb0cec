"""Memory of ``headrace verify`` does not grow with the collection."""

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pymilvus import MilvusClient
from redis.asyncio import Redis

from contract.ids import chunk_ids, document_id
from contract.ledger.connection import connect as connect_redis
from contract.ledger.rebuilding import Adoption, Rebuilding
from contract.settings import Settings
from tests.servers.command import Command
from tests.worker.conftest import drop
from worker.collections import ensure_collection
from worker.embedding.embedder import ModelIdentity
from worker.milvus import connect, quiet_libraries

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NAME = "many"
SOURCE = "docs"
CHUNKS = 20
VERSION = 1_700_000_000_000
TOGETHER = 100
POLL_SECONDS = 0.05
MOST_GROWTH_BYTES = 24 * 1024 * 1024
"""Between 2,000 and 10,000 documents; rows kept by id alone would take more than this."""


def adoptions(first: int, last: int) -> Iterator[Adoption]:
    """Name documents."""
    for number in range(first, last):
        key = f"{number}.md".encode()
        yield Adoption(
            document_id=document_id(SOURCE, key),
            source=SOURCE,
            key_bytes=key,
            content_hash=hashlib.md5(key, usedforsecurity=False).hexdigest(),
            version=VERSION,
            chunk_count=CHUNKS,
        )


async def seed(redis: Redis, client: MilvusClient, first: int, last: int) -> None:
    """Write documents to ledger and collection."""
    items = list(adoptions(first, last))
    for at in range(0, len(items), TOGETHER):
        some = items[at : at + TOGETHER]
        await Rebuilding(redis, NAME).adopt(some)
        client.upsert(NAME, [row for item in some for row in rows_of(item)])


def rows_of(item: Adoption) -> Iterator[dict[str, object]]:
    """Make a document's rows."""
    ids = chunk_ids(item.document_id, item.version, range(CHUNKS))
    for ordinal, chunk_id in enumerate(ids):
        yield {
            "chunk_id": chunk_id,
            "chunk_key": "k",
            "document_id": item.document_id,
            "source": SOURCE,
            "version": item.version,
            "ordinal": ordinal,
            "content_hash": item.content_hash,
            "text": "text",
            "vector": [1.0, 2.0],
            "chunk_count": CHUNKS,
            "path": item.key_bytes.decode(),
        }


def peak_bytes(command: Command, rows: int) -> tuple[int, float]:
    """Verify; gives the most memory that the process had, and the seconds that it took."""
    peak = 0
    with command.started("verify", "--json", "--collection", NAME) as running:
        process = psutil.Process(running.pid)
        while running.runs:
            try:
                peak = max(peak, process.memory_info().rss)
                process.wait(POLL_SECONDS)
            except psutil.TimeoutExpired:
                continue
            except psutil.NoSuchProcess:
                break
        ended = running.wait().expect(0)
    assert ended.json["equal"]
    assert ended.json["rows"] == rows
    return peak, ended.seconds


async def test_five_times_the_rows_take_no_more_memory(
    settings: Settings, redis: Redis, milvus_server_uri: str, tmp_path: Path
) -> None:
    """40,000 and 200,000 rows: the process is as large."""
    quiet_libraries()
    ours = settings.model_copy(update={"milvus_uri": milvus_server_uri})
    assert ours.redis_url is not None
    command = Command(
        tmp_path, redis_url=ours.redis_url.get_secret_value(), milvus_uri=milvus_server_uri
    )
    client = await asyncio.to_thread(connect, ours)
    patient = connect_redis(ours)
    try:
        await ensure_collection(client, redis, ours, NAME, ModelIdentity("mill", "", 2))
        await seed(patient, client, 0, 2_000)
        few, _ = peak_bytes(command, 2_000 * CHUNKS)
        await seed(patient, client, 2_000, 10_000)
        many, seconds = peak_bytes(command, 10_000 * CHUNKS)
    finally:
        drop(client, NAME)
        client.close()
        await patient.aclose()
    shown = f"{few >> 20} MiB for 40,000 rows, {many >> 20} MiB for 200,000 in {seconds:.0f} s"
    print(shown)  # noqa: T201 - pytest shows it when asked to
    assert many - few < MOST_GROWTH_BYTES, shown
