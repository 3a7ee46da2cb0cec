"""Promises of an import with servers named by URL and workers that run elsewhere."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from contract.names import Keys
from tests.servers.command import Command, until
from tests.servers.contents import Servers, chunks_of
from tests.servers.endpoint import FakeEndpoint
from tests.servers.library import write_library
from tests.servers.milvus import milvus_lite
from tests.servers.redis import redis_tcp_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_PASSWORD = "se@cret"  # noqa: S105 - of a server that lives for this test


def test_two_workers_elsewhere_share_an_import(tmp_path: Path, endpoint: FakeEndpoint) -> None:
    """Two worker processes do one import, and a third process can follow it."""
    endpoint.faults(latency_seconds=0.1)
    write_library(tmp_path / "docs", 40, 6_000)
    with (
        redis_tcp_server(tmp_path, password=_PASSWORD, appendonly=True) as redis,
        milvus_lite(tmp_path / "milvus") as milvus,
        ExitStack() as stack,
    ):
        command = Command(
            tmp_path,
            redis_url=redis.url,
            milvus_uri=milvus.uri,
            embedding_provider="openai",
            embedding_base_url=endpoint.url,
            embedding_dimensions=384,
            embedding_api_key="no-key",
            batch_max_chunks=8,
            worker_concurrency=4,
            embedding_join_chunks=8,  # so that requests tell how many batches are under way
        )
        importing = stack.enter_context(command.started("import", "docs", "--json"))
        until(lambda: _unfinished(command) > 0, "batches that wait for workers", 60)
        workers = [stack.enter_context(command.started("worker")) for _ in range(2)]
        until(lambda: len(_workers(command)) == len(workers), "both workers to be seen", 60)
        until(lambda: _written(command) > 0, "chunks to be counted as written", 60)
        (summary,) = importing.wait(120).expect(0).json
        assert (summary["new"], summary["failed"]) == (40, 0)
        expected = chunks_of(tmp_path / "docs")
        assert summary["chunks"] == sum(expected.values())
        Servers(redis.url, milvus.uri).assert_holds("documents", expected)
        assert all(worker.runs for worker in workers), "an import stops no worker of others"
        said = importing.wait().err
        for worker in workers:
            worker.end()
            said += worker.wait().expect(0).err
        assert _PASSWORD not in said
        assert redis.url not in said
        assert endpoint.stats()["max_in_flight"] > 4, "both workers took part"


@pytest.mark.parametrize("forget", ["everything", "one document's commit"])
def test_an_import_that_redis_forgot_is_not_called_done(
    tmp_path: Path, endpoint: FakeEndpoint, forget: str
) -> None:
    """Redis that came back from an older state makes the import fail; the same command mends it."""
    write_library(tmp_path / "docs", 5, 2_000)
    with (
        redis_tcp_server(tmp_path, password=_PASSWORD) as redis,
        milvus_lite(tmp_path / "milvus") as milvus,
    ):
        command = Command(
            tmp_path,
            redis_url=redis.url,
            milvus_uri=milvus.uri,
            embedding_provider="openai",
            embedding_base_url=endpoint.url,
        )
        with Redis.from_url(redis.url) as client, command.started("import", "docs") as importing:
            until(lambda: _unfinished(command) > 0, "batches that wait for workers", 60)
            if forget == "everything":
                client.flushall()
            else:
                (name,) = client.zrange(Keys("documents").jobs, 0, -1)
                client.hincrby(Keys("documents").job(name.decode()), "documents_committed", -1)
            with command.started("worker") as worker:
                ended = importing.wait(60).expect(3)
                assert "forgotten" in ended.err
                if forget == "everything":
                    command.run("import", "docs").expect(0)
                worker.end()
                worker.wait().expect(0)
        if forget == "everything":
            expected = chunks_of(tmp_path / "docs")
            Servers(redis.url, milvus.uri).assert_holds("documents", expected)


def _workers(command: Command) -> list[str]:
    workers: list[str] = command.run("status", "--json").expect(0).json["workers"]
    return workers


def _unfinished(command: Command) -> int:
    collections = command.run("status", "--json").expect(0).json["collections"]
    return sum(int(item["unfinished"]["batches"]) for item in collections)


def _written(command: Command) -> int:
    collections = command.run("status", "--json").expect(0).json["collections"]
    jobs = [job for item in collections for job in item["jobs"]]
    return sum(int(job["counts"].get("chunks_written", 0)) for job in jobs)
