"""Promises of an import with an embedding cache: what it saves, tells, and never stops."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.settings import load_settings
from tests.integration.conftest import Place
from tests.servers.cache import cache_server
from tests.servers.command import Command, until
from tests.servers.contents import chunks_of, pieces_of
from tests.servers.endpoint import FakeEndpoint
from tests.servers.library import write_library
from tests.servers.redis import RedisServer, redis_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def cache_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """Run a Redis that is meant as a cache."""
    with cache_server(tmp_path / "cache") as server:
        yield server


@pytest.fixture(params=["redis", "file"])
def cached(request: pytest.FixtureRequest, headrace: Command, tmp_path: Path) -> Command:
    """Give the command, with a price, and each cache in turn."""
    url = f"file://{tmp_path / 'cache.sqlite'}"
    if request.param == "redis":
        url = request.getfixturevalue("cache_redis").url
    return headrace.with_settings(embedding_cache_url=url, embedding_price=2.0)


def test_the_same_text_is_paid_for_once(
    place: Place, cached: Command, endpoint: FakeEndpoint, tmp_path: Path
) -> None:
    """Another source pays for what it alone has; another collection pays for nothing."""
    name = f"cached_{tmp_path.name}"
    one, two = tmp_path / f"{name}_one", tmp_path / f"{name}_two"
    write_library(one, 6, 4_000)
    shutil.copytree(one, two)
    for path in two.rglob("*.md"):  # so that none is a twin, whose vectors are read from Milvus
        path.write_text(f"{path.read_text()}\nThe second edition of {path.stem}.\n")
    known = set(_texts(one))
    again = [text for text in _texts(two) if text in known]
    new = set(_texts(two)) - known
    assert len(again) > len(new) > 0
    collections = cached.with_settings(collection=name), cached.with_settings(collection=f"{name}2")

    (first,) = collections[0].run("import", one, "--json").expect(0).json
    assert (first["cached"], first["tokens_saved"], first["usd_saved"]) == (0, 0, 0.0)
    paid = endpoint.stats()["texts"]
    (second,) = collections[0].run("import", two, "--json").expect(0).json
    # The command itself may embed one word, to see whether the model is there.
    assert len(new) <= endpoint.stats()["texts"] - paid <= len(new) + 1
    assert second["cached"] == len(again)
    assert 0 < second["tokens_saved"] <= first["tokens"]
    assert second["usd_saved"] == round(second["tokens_saved"] * 2.0 / 1e6, 6)

    paid = endpoint.stats()["texts"]
    ended = collections[1].run("import", two).expect(0)
    assert endpoint.stats()["texts"] - paid <= 1
    told = f"{second['chunks']} from the embedding cache, "
    assert told in ended.out
    status = cached.run("status").expect(0).out
    jobs = cached.run("jobs", "list").expect(0).out
    assert told in status
    assert told in jobs
    shown = cached.run("jobs", "show", second["job"], "--json").expect(0).json
    assert shown["counts"]["chunks_cached"] == second["cached"]
    assert shown["usd_saved"] == second["usd_saved"]
    settings = load_settings({}, tmp_path)
    place.servers.assert_holds(f"{name}2", chunks_of(two, settings))
    place.servers.assert_holds(name, chunks_of(one, settings) | chunks_of(two, settings))


def _texts(folder: Path) -> list[str]:
    """Give the texts of all chunks of a folder."""
    return [piece.text for _, pieces in pieces_of(folder) for piece in pieces]


def test_an_import_does_not_stop_for_its_cache(
    place: Place,
    headrace: Command,
    endpoint: FakeEndpoint,
    cache_redis: RedisServer,
    tmp_path: Path,
) -> None:
    """The cache is killed in the middle: everything arrives, and one line of the log tells."""
    endpoint.faults(latency_seconds=0.1)
    folder = tmp_path / f"uncached_{os.getpid()}"
    write_library(folder, 40, 6_000)
    command = headrace.with_settings(
        embedding_cache_url=cache_redis.url,
        collection="uncached",
        batch_max_chunks=8,
        worker_concurrency=2,
    )
    with command.started("import", folder, "--json") as importing:
        until(lambda: endpoint.stats()["texts"] > 50, "texts to be embedded", 60)
        cache_redis.kill()
        assert importing.runs
        (summary,) = importing.wait(120).expect(0).json
    assert (summary["new"], summary["failed"]) == (40, 0)
    place.servers.assert_holds("uncached", chunks_of(folder))


def test_a_redis_that_is_no_cache_is_refused(headrace: Command, tmp_path: Path) -> None:
    """The import says what to set before it does anything."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("Some text.\n")
    with redis_server(tmp_path) as server:
        command = headrace.with_settings(embedding_cache_url=server.url, collection="refused")
        ended = command.run("import", tmp_path / "docs").expect(2)
    assert "set maxmemory there" in ended.err
