"""A text that ends every worker process that embeds it."""

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymilvus import MilvusClient
from redis.asyncio import Redis

from contract.queue import announce, make_app
from contract.settings import Settings
from tests.servers.worker import command, environment
from tests.worker.shop import Shop

DEADLY = "deadly"
CODE = 77
PROVIDER = f'''"""Embeddings that end the process at a certain text."""

import os

from langchain_core.embeddings import Embeddings


class Deadly(Embeddings):
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if any({DEADLY!r} in text for text in texts):
            os._exit({CODE})
        return [[float(len(text)), 1.0, 2.0, 3.0] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]
'''


class Supervisor:
    """Keeps one worker running, whatever becomes of it."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        """Start nothing yet."""
        self.folder = folder
        self.variables = variables
        self.codes: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    def look(self) -> None:
        """Start a worker unless one runs."""
        if self._process is not None and self._process.poll() is None:
            return
        if self._process is not None:
            self.codes.append(self._process.returncode)
        with (self.folder / "worker.log").open("ab") as log:
            self._process = subprocess.Popen(
                command("worker.app"), cwd=self.folder, env=self.variables, stdout=log, stderr=log
            )

    def stop(self) -> None:
        """End the worker that runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def supervisor(tmp_path: Path, lite_settings: Settings, collection: str) -> Iterator[Supervisor]:
    """Give a supervisor of workers with deadly embeddings."""
    (tmp_path / "deadly_embeddings.py").write_text(PROVIDER, encoding="utf-8")
    changes = {
        "collection": collection,
        "embedding_provider": "deadly_embeddings:Deadly",
        "worker_concurrency": 4,
        "lease_seconds": 3,
    }
    settings = Settings.model_validate(lite_settings.model_dump() | changes)
    variables = {**environment(tmp_path), **settings.environment()}
    variables["PYTHONPATH"] += f"{os.pathsep}{tmp_path}"
    supervisor = Supervisor(tmp_path, variables)
    yield supervisor
    supervisor.stop()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_batch_that_kills_workers_does_not_stop_the_rest(
    supervisor: Supervisor,
    redis: Redis,
    lite_client: MilvusClient,
    lite_settings: Settings,
    collection: str,
) -> None:
    """The rest is ingested, the deadly chunk is one dead letter, and no worker dies after it."""
    shop = Shop(redis, lite_client, collection)
    batches = [await shop.order(**{f"d{at}": f"a{at} b{at} c{at}"}) for at in range(6)]
    batches.append(await shop.order(good="x y", bad=f"v {DEADLY} w"))
    app = make_app(lite_settings)
    await asyncio.to_thread(announce, app, collection, batches)
    app.close()
    deadline = time.monotonic() + 240
    while not await shop.finished():
        assert time.monotonic() < deadline, (supervisor.codes, await shop.ledger.totals())
        await asyncio.to_thread(supervisor.look)
        await asyncio.sleep(0.1)
    assert shop.rows() == {
        "good": ["x", "y"], **{f"d{at}": [f"a{at}", f"b{at}", f"c{at}"] for at in range(6)}
    }  # fmt: skip
    (letter,) = await shop.letters()
    assert (letter.document_id, letter.reason) == ("bad", "KillsWorkersError")
    assert letter.ordinals == (1,)
    assert set(supervisor.codes) == {CODE}
    assert len(supervisor.codes) <= 3 + 3 + 2  # suspected; halved to one chunk; twice alone
    with contextlib.suppress(subprocess.TimeoutExpired):
        assert supervisor._process is not None
        supervisor._process.wait(2)
        raise AssertionError("the last worker ended as well")
