"""Promises of an import whose Milvus goes away for a while."""

import random
import time
from pathlib import Path

import pytest

from tests.chaos.conftest import DOCUMENTS, assert_whole
from tests.servers.command import Command, until
from tests.servers.contents import Servers
from tests.servers.milvus import milvus_lite
from tests.servers.redis import redis_tcp_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_milvus_is_killed_and_comes_back(
    tmp_path: Path, docs: Path, headrace: Command, draw: random.Random
) -> None:
    """The import waits for Milvus and finishes by itself, with every row once."""
    with redis_tcp_server(tmp_path) as redis, milvus_lite(tmp_path / "milvus") as milvus:
        servers = Servers(redis.url, milvus.uri)
        command = headrace.with_settings(redis_url=redis.url, milvus_uri=milvus.uri)
        with command.started("worker") as worker:
            with command.started("import", docs, "--json") as importing:
                until(lambda: bool(servers.committed("documents")), "the first rows", 60)
                time.sleep(draw.uniform(0.0, 1.0))
                milvus.kill()
                time.sleep(draw.uniform(0.5, 5.0))
                milvus.start()
                (summary,) = importing.wait(150).expect(0).json
            assert (summary["new"], summary["failed"]) == (DOCUMENTS, 0)
            assert worker.runs, "a worker outlives an outage of Milvus"
            assert_whole(servers, docs)
