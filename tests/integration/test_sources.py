"""Promises of ``headrace sources``, with embedded servers."""

import tempfile
from pathlib import Path

import pytest
from redis import Redis

from headrace.local.servers import LocalServers, attach
from tests.integration.conftest import Place
from tests.servers.command import Command, until
from tests.servers.contents import Servers, chunks_of
from tests.servers.endpoint import FakeEndpoint
from tests.servers.library import write_library
from tests.servers.spring import DIMENSION, chunks, document, lines

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def pour(command: Command, source: str, numbers: range) -> None:
    """Bring documents in by standard input."""
    with tempfile.TemporaryFile() as file:
        file.write(lines(document(number) for number in numbers))
        file.flush()
        file.seek(0)
        command.run("stdin", "--source", source, stdin=file).expect(0)


def test_a_source_is_listed_kept_for_a_while_and_removed(place: Place, headrace: Command) -> None:
    """With a warning in figures first; what belongs to another source stays."""
    command = headrace.with_settings(collection="catalogue")
    folder = place.folder / "books"
    write_library(folder, 6, 600)
    (folder / "broken.md").write_bytes(b"\xff\xfe\xff")
    command.run("import", folder)
    pour(command, "pipe", range(3))
    listed = command.run("sources", "list", "--collection", "catalogue", "--json").json
    assert [(one["source"], one["documents"]) for one in listed] == [("books", 7), ("pipe", 3)]
    assert listed[1]["origin"] == "standard input"
    assert listed[0]["last_seen"]
    command.run("sources", "set", "pipe", "--ttl", "30d").expect(0)
    shown = command.run("sources", "show", "pipe", "--json").expect(0).json
    assert (shown["ttl_seconds"], shown["rows"]) == (30 * 86_400, 3)
    assert "ttl 30d" in command.run("sources", "list").out
    refused = command.run("sources", "remove", "books").expect(2)
    rows = sum(chunks_of(folder).values())
    assert f"7 documents of source 'books' with {rows} rows" in refused.err
    place.servers.assert_holds("catalogue", chunks_of(folder) | chunks("pipe", range(3)))
    removed = command.run("sources", "remove", "books", "--yes", "--json").expect(0).json
    assert removed["rows"] == rows
    place.servers.assert_holds("catalogue", chunks("pipe", range(3)))
    left = command.run("sources", "list", "--collection", "catalogue", "--json").json
    assert [one["source"] for one in left] == ["pipe"]
    letters = command.run("dead-letters", "list", "--collection", "catalogue", "--json").json
    assert letters == []
    unknown = command.run("sources", "remove", "books", "--yes").expect(2)
    assert "headrace sources list" in unknown.err
    command.run("import", folder)
    place.servers.assert_holds("catalogue", chunks_of(folder) | chunks("pipe", range(3)))


def test_a_removal_that_is_killed_goes_on(tmp_path: Path, endpoint: FakeEndpoint) -> None:
    """The same command again does the rest, and the source is known until it is done."""
    command = Command(
        tmp_path,
        embedding_provider="openai",
        embedding_base_url=endpoint.url,
        embedding_dimensions=DIMENSION,
        embedding_api_key="no-key",
        batch_max_chunks=4,
        max_unfinished_batches=5,
    )
    pour(command, "pipe", range(600))
    with command.started("sources", "remove", "pipe", "--yes") as running:

        def has_begun() -> bool:
            found = attach(tmp_path / ".headrace")
            if found is None:
                return False
            documents = Servers(found.redis_url, found.milvus_uri).documents("documents")
            return any(fields.get("count") == "0" for fields in documents.values())

        until(has_begun, "the first deletion", 60)
        running.kill()
        running.wait()
    with LocalServers(tmp_path / ".headrace") as local:
        servers = Servers(local.redis_url, local.milvus_uri)
        (known,) = command.run("sources", "list", "--json").expect(0).json
        assert known["source"] == "pipe"
        command.run("sources", "remove", "pipe", "--yes").expect(0)
        assert servers.rows("documents") == []
        assert command.run("sources", "list", "--json").json == []


def test_what_expires_is_deleted_in_the_background(place: Place, headrace: Command) -> None:
    """By the scheduler; `headrace up` or a worker does the rest."""
    command = headrace.with_settings(collection="mortal")
    pour(command, "pipe", range(3))
    pour(command, "lasting", range(3, 5))
    command.run("sources", "set", "pipe", "--ttl", "1s").expect(0)
    with Redis.from_url(place.servers.redis_url) as redis, command.started("scheduler"):
        jobs = "headrace:{mortal}:jobs"
        until(lambda: redis.zcard(jobs) == 3, "the job that deletes", 60)
        pour(command, "lasting", range(3, 6))  # which has workers
        until(lambda: len(place.servers.committed("mortal")) == 3, "the deletion", 60)
    place.servers.assert_holds("mortal", chunks("lasting", range(3, 6)))
