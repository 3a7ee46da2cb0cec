"""Promises of ``headrace stream``, with embedded servers."""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from headrace.local.servers import attach
from tests.integration.conftest import Place
from tests.servers.command import Command, until
from tests.servers.contents import Servers
from tests.servers.endpoint import FakeEndpoint
from tests.servers.redis import redis_tcp_server
from tests.servers.spring import DIMENSION, chunks, document, entries

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DOCUMENTS = 3000
PASSWORD = "tourmaline"  # noqa: S105 - of a server of the test's own


@pytest.fixture
def redis(place: Place) -> Iterator[Redis]:
    """Give a client of the ledger's Redis."""
    with Redis.from_url(place.servers.redis_url) as client:
        yield client


def add(redis: Redis, key: str, numbers: range, edition: str = "first") -> None:
    """Add documents to a stream."""
    pipe = redis.pipeline(transaction=False)
    for fields in entries(document(number, edition) for number in numbers):
        pipe.xadd(key, fields)  # type: ignore[arg-type]
    pipe.execute()


def pending(redis: Redis, key: str, collection: str) -> int:
    """Count what was read and is not acknowledged."""
    return int(redis.xpending(key, f"headrace:{collection}")["pending"])


def test_a_stream_is_drained(place: Place, headrace: Command, redis: Redis) -> None:
    """All that is there, with poison in it: that is a dead letter, and acknowledged."""
    command = headrace.with_settings(collection="drained")
    add(redis, "channel", range(20))
    redis.xadd("channel", {"nonsense": "x"})
    redis.xadd("channel", {"id": "wheel-3", "deleted": "1"})
    summary = command.run("stream", "channel", "--once", "--json").expect(1).json
    assert (summary["source"], summary["failed"]) == ("channel", 1)
    kept = set(range(20)) - {3}
    place.servers.assert_holds("drained", chunks("channel", kept))
    assert pending(redis, "channel", "drained") == 0
    (letter,) = command.run("dead-letters", "list", "--collection", "drained", "--json").json
    assert letter["key"].startswith("entry ")
    add(redis, "channel", range(1))
    again = command.run("stream", "channel", "--once", "--json").expect(0).json
    assert (again["unchanged"], again["chunks"]) == (1, 0)


def test_a_stream_elsewhere(place: Place, headrace: Command, tmp_path: Path) -> None:
    """By its URL; the ledger stays where it is."""
    command = headrace.with_settings(collection="elsewhere")
    with ExitStack() as stack:
        server = stack.enter_context(redis_tcp_server(tmp_path, password=PASSWORD))
        other = stack.enter_context(Redis.from_url(server.url))
        add(other, "far", range(5))
        command.run("stream", "far", "--url", server.url, "--once").expect(0)
        assert pending(other, "far", "elsewhere") == 0
    place.servers.assert_holds("elsewhere", chunks("far", range(5)))
    shown = command.run("sources", "show", "far", "--collection", "elsewhere").expect(0).out
    assert PASSWORD not in shown
    wrong = command.run("stream", "far", "--url", "nonsense", "--once").expect(2)
    assert "--url" in wrong.err


def test_it_runs_until_it_is_stopped(place: Place, headrace: Command, redis: Redis) -> None:
    """What comes is found soon, and nothing is left pending."""
    command = headrace.with_settings(collection="running")
    with command.started("stream", "running-channel") as running:
        add(redis, "running-channel", range(3))
        until(lambda: len(place.servers.committed("running")) == 3, "the first entries", 60)
        add(redis, "running-channel", range(3, 5))
        until(lambda: len(place.servers.committed("running")) == 5, "the next entries", 20)
        running.end()
        assert "stopped" in running.wait().expect(4).err
    assert pending(redis, "running-channel", "running") == 0


def test_killed_three_times_none_is_lost_and_none_is_twice(
    tmp_path: Path, endpoint: FakeEndpoint
) -> None:
    """Two consumers share a stream of two editions, and one of them is killed again and again."""
    command = Command(
        tmp_path,
        embedding_provider="openai",
        embedding_base_url=endpoint.url,
        embedding_dimensions=DIMENSION,
        embedding_api_key="no-key",
        lease_seconds=3.0,
    )
    with ExitStack() as stack:
        stack.enter_context(command.started("up"))
        until(lambda: attach(tmp_path / ".headrace") is not None, "the servers", 60)
        found = attach(tmp_path / ".headrace")
        assert found is not None
        servers = Servers(found.redis_url, found.milvus_uri)
        redis = stack.enter_context(Redis.from_url(found.redis_url))
        add(redis, "channel", range(DOCUMENTS))
        add(redis, "channel", range(0, DOCUMENTS, 3), "second")
        other = stack.enter_context(command.started("stream", "channel", "--detach"))
        for kill in range(1, 4):
            with command.started("stream", "channel", "--detach") as running:
                until(
                    lambda share=kill: len(servers.documents("documents")) >= share * 600,  # type: ignore[misc]
                    "some documents",
                    90,
                )
                time.sleep(random.uniform(0.0, 0.3))  # noqa: S311 - a moment for the kill
                running.kill()
                running.wait()
        assert other.runs
        summary = command.run("stream", "channel", "--once", "--json", seconds=150).expect(0).json
        assert summary["failed"] == 0
        assert pending(redis, "channel", "documents") == 0
        until(lambda: len(servers.committed("documents")) == DOCUMENTS, "all of it", 60)
        until(lambda: redis.hget("headrace:{documents}:totals", "batches") == b"0", "the end", 60)
        servers.assert_holds("documents", chunks("channel", range(DOCUMENTS)))
        editions = servers.metadata("documents", "edition")
        newest = {name for name, edition in editions.items() if edition == "second"}
        assert newest == set(chunks("channel", range(0, DOCUMENTS, 3)))
