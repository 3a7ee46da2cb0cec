"""Promises of an import whose Redis, or embedded server, goes away."""

import random
import time
from pathlib import Path

import psutil
import pytest

from headrace.local.folder import DataFolder
from headrace.local.milvus_server import MilvusServer
from headrace.local.redis_server import RedisServer
from headrace.local.server import ServerProcess
from headrace.local.servers import LocalServers, attach
from tests.chaos.conftest import assert_whole
from tests.servers.command import Command, until
from tests.servers.contents import Servers
from tests.servers.milvus import milvus_lite
from tests.servers.redis import redis_tcp_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_redis_is_killed_and_comes_back(
    tmp_path: Path, docs: Path, headrace: Command, draw: random.Random
) -> None:
    """Workers outlive Redis; what its last second forgot, the same command brings."""
    with (
        redis_tcp_server(tmp_path, password="secret", appendonly=True) as redis,  # noqa: S106
        milvus_lite(tmp_path / "milvus") as milvus,
    ):
        servers = Servers(redis.url, milvus.uri)
        command = headrace.with_settings(redis_url=redis.url, milvus_uri=milvus.uri)
        with command.started("worker") as worker:
            with command.started("import", docs) as importing:
                until(lambda: bool(servers.committed("documents")), "the first rows", 60)
                time.sleep(draw.uniform(0.0, 1.0))
                redis.kill()
                time.sleep(draw.uniform(0.5, 3.0))
                redis.start()
                ended = importing.wait(120)
            assert ended.code in {0, 3}, ended
            assert "Traceback" not in ended.err
            assert worker.runs, "a worker outlives an outage of Redis"
            command.run("import", docs).expect(0)
            assert_whole(servers, docs)
            assert worker.runs


@pytest.mark.parametrize("kind", [RedisServer, MilvusServer])
def test_an_embedded_server_is_killed(
    tmp_path: Path,
    docs: Path,
    headrace: Command,
    draw: random.Random,
    kind: type[RedisServer] | type[MilvusServer],
) -> None:
    """Nobody brings an embedded server back: the import says so; the same command finishes."""
    with headrace.started("import", docs) as importing:
        until(lambda: attach(tmp_path / ".headrace") is not None, "the servers", 60)
        found = attach(tmp_path / ".headrace")
        assert found is not None
        servers = Servers(found.redis_url, found.milvus_uri)
        until(lambda: bool(servers.committed("documents")), "the first rows", 60)
        time.sleep(draw.uniform(0.0, 1.0))
        process = ServerProcess.search(kind(DataFolder(tmp_path / ".headrace")).address_of)
        assert process is not None
        psutil.Process(process.pid).kill()
        ended = importing.wait(60).expect(3)
    assert "same command again" in ended.err
    assert "Traceback" not in ended.err
    headrace.run("import", docs).expect(0)
    with LocalServers(tmp_path / ".headrace") as local:
        assert_whole(Servers(local.redis_url, local.milvus_uri), docs)
