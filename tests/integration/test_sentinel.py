"""Redis behind Sentinels: an import outlives the loss of the master."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers.command import Command, until
from tests.servers.contents import Servers, chunks_of
from tests.servers.endpoint import FakeEndpoint
from tests.servers.library import write_library
from tests.servers.milvus import milvus_lite
from tests.servers.sentinel import sentinel_quorum

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_PASSWORD = "s3cret"  # noqa: S105 - of servers that live for this test


def test_an_import_outlives_a_failover(tmp_path: Path, endpoint: FakeEndpoint) -> None:
    """The master is killed with -9 in the middle; rows are as of a plain import.

    Redis replicates after it has answered, so the newest promises may be lost with the master:
    then the import says so, and the same command mends it.
    """
    endpoint.faults(latency_seconds=0.2)
    write_library(tmp_path / "docs", 40, 6_000)
    with (
        sentinel_quorum(tmp_path / "quorum", _PASSWORD) as quorum,
        milvus_lite(tmp_path / "milvus") as milvus,
        ExitStack() as stack,
    ):
        command = Command(
            tmp_path,
            redis_url=quorum.url,
            milvus_uri=milvus.uri,
            embedding_provider="openai",
            embedding_base_url=endpoint.url,
            embedding_dimensions=384,
            embedding_api_key="no-key",
            batch_max_chunks=8,
            worker_concurrency=2,
            embedding_join_chunks=8,
            lease_seconds=5,
        )
        workers = [stack.enter_context(command.started("worker")) for _ in range(2)]
        scheduler = stack.enter_context(command.started("scheduler"))
        importing = stack.enter_context(command.started("import", "docs", "--json"))
        until(lambda: _written(command) > 0, "chunks to be counted as written", 60)
        before = quorum.master_port()
        quorum.first.kill()
        until(lambda: quorum.master_port() not in {0, before}, "another master", 60)
        ended = importing.wait(180)
        if ended.code:
            assert "has forgotten" in ended.err, ended.err
            command.run("import", "docs", "--json").expect(0)
        (again,) = command.run("import", "docs", "--json").expect(0).json
        assert (again["unchanged"], again["failed"]) == (40, 0)
        servers = Servers(quorum.second.url, milvus.uri)  # the master by now
        servers.assert_holds("documents", chunks_of(tmp_path / "docs"))
        assert all(process.runs for process in (*workers, scheduler))
        command.run("doctor").expect(0)
        assert _PASSWORD not in ended.err


def _written(command: Command) -> int:
    collections = command.run("status", "--json").expect(0).json["collections"]
    return sum(job["counts"].get("chunks_written", 0) for c in collections for job in c["jobs"])
