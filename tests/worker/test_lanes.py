"""Lanes in a worker that is a process: live batches do not wait for bulk ones."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from pymilvus import MilvusClient
from redis.asyncio import Redis

from contract.lane import Lane
from contract.names import BULK_QUEUE
from contract.queue import announce, make_app
from contract.settings import Settings
from tests.servers.worker import environment, worker_program
from tests.worker.shop import Shop
from tests.worker.test_app import eventually, until_finished

PROVIDER = '''"""Embeddings that keep words of bulk back as long as there is a gate."""

import asyncio
from pathlib import Path

from langchain_core.embeddings import Embeddings


class Gated(Embeddings):
    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        while any("bulk" in text for text in texts) and Path("gate").exists():
            await asyncio.sleep(0.01)
        return self.embed_documents(texts)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[float(len(text)), 1.0, 2.0, 3.0] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]
'''

pytestmark = pytest.mark.slow


async def test_a_live_batch_overtakes_a_full_bulk_queue(
    tmp_path: Path,
    redis: Redis,
    lite_client: MilvusClient,
    lite_settings: Settings,
    collection: str,
) -> None:
    """With all bulk places taken and more bulk waiting, what is live goes through."""
    (tmp_path / "gated_embeddings.py").write_text(PROVIDER, encoding="utf-8")
    (tmp_path / "gate").touch()
    changes = {
        "collection": collection,
        "embedding_provider": "gated_embeddings:Gated",
        "worker_concurrency": 2,
        "live_slots": 1,
    }
    settings = Settings.model_validate(lite_settings.model_dump() | changes)
    variables = {**environment(tmp_path), **settings.environment()}
    variables["PYTHONPATH"] += f"{os.pathsep}{tmp_path}"
    shop = Shop(redis, lite_client, collection)
    app = make_app(settings)
    with worker_program(tmp_path, variables) as worker:
        bulk = [await shop.order(**{f"b{at}": "bulk"}) for at in range(8)]
        await asyncio.to_thread(announce, app, collection, bulk)
        await eventually(lambda: worker.metric("headrace_batches_in_flight") == 2, "bulk begins")
        for at in range(3):  # more than there are live places
            parts = await shop.parts(**{f"l{at}": "live"})
            live = await shop.publish(*parts, lane=Lane.LIVE)
            await asyncio.to_thread(announce, app, collection, [live], Lane.LIVE)
        deadline = time.monotonic() + 30
        while (await shop.ledger.totals()).batches > 8:
            assert time.monotonic() < deadline, "what is live waits for what is not"
            await asyncio.sleep(0.02)
        assert shop.rows() == {f"l{at}": ["live"] for at in range(3)}, "bulk has not moved"
        assert worker.metric("headrace_batches_in_flight") == 2
        assert await redis.llen(BULK_QUEUE) == 8 - 2 - 2, "begun, and at hand"
        (tmp_path / "gate").unlink()
        await until_finished(shop)
    await asyncio.to_thread(app.close)
    assert len(shop.rows()) == 8 + 3
