"""RabbitMQ as the broker, while the ledger stays in Redis: the same promises."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from amqp.exceptions import PreconditionFailed
from kombu import Connection, Queue

from tests.servers.command import Command, until
from tests.servers.contents import Servers, chunks_of
from tests.servers.endpoint import FakeEndpoint
from tests.servers.library import write_library
from tests.servers.milvus import milvus_lite
from tests.servers.rabbit import rabbit_server
from tests.servers.redis import redis_tcp_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_an_import_outlives_a_worker_and_the_broker(tmp_path: Path, endpoint: FakeEndpoint) -> None:
    """Quorum queues; in the middle a worker and RabbitMQ itself are killed with -9."""
    endpoint.faults(latency_seconds=0.2)
    write_library(tmp_path / "docs", 40, 6_000)
    with (
        redis_tcp_server(tmp_path, appendonly=True) as redis,
        milvus_lite(tmp_path / "milvus") as milvus,
        rabbit_server(tmp_path / "rabbit") as rabbit,
        ExitStack() as stack,
    ):
        command = Command(
            tmp_path,
            redis_url=redis.url,
            broker_url=rabbit.url,
            milvus_uri=milvus.uri,
            embedding_provider="openai",
            embedding_base_url=endpoint.url,
            embedding_dimensions=384,
            embedding_api_key="no-key",
            batch_max_chunks=8,
            worker_concurrency=2,
            embedding_join_chunks=8,
            lease_seconds=3,
        )
        workers = [stack.enter_context(command.started("worker")) for _ in range(2)]
        importing = stack.enter_context(command.started("import", "docs", "--json"))
        until(lambda: _written(command) > 0, "chunks to be counted as written", 60)
        assert _kind_is(rabbit.url, "quorum")
        assert not _kind_is(rabbit.url, "classic")
        workers[0].kill()
        rabbit.kill()
        rabbit.start()
        (summary,) = importing.wait(120).expect(0).json
        assert (summary["new"], summary["failed"]) == (40, 0)
        Servers(redis.url, milvus.uri).assert_holds("documents", chunks_of(tmp_path / "docs"))
        assert workers[1].runs
        (again,) = command.run("import", "docs", "--json").expect(0).json
        assert (again["unchanged"], again["chunks"]) == (40, 0)


def _kind_is(url: str, kind: str) -> bool:
    """Declare the queue again: RabbitMQ refuses that for another kind."""
    with Connection(url) as connection:
        try:
            Queue("headrace.bulk", queue_arguments={"x-queue-type": kind})(
                connection.default_channel
            ).queue_declare()
        except PreconditionFailed:
            return False
        return True


def _written(command: Command) -> int:
    collections = command.run("status", "--json").expect(0).json["collections"]
    return sum(job["counts"].get("chunks_written", 0) for c in collections for job in c["jobs"])
