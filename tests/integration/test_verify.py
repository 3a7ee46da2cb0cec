"""Promises of ``headrace verify``, with servers named by URL and the fake embedding endpoint."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymilvus import MilvusClient
from redis import Redis

from contract.names import Keys
from contract.settings import Settings
from tests.servers.command import Command, until
from tests.servers.contents import Servers, chunks_of
from tests.servers.endpoint import FakeEndpoint
from tests.servers.library import write_library
from tests.servers.milvus import milvus_lite
from tests.servers.redis import redis_tcp_server
from worker.milvus import connect, quiet_libraries

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

COLLECTION = "documents"
KEYS = Keys(COLLECTION)
SMALL = 500
"""Documents of one chunk; more than are adopted in one round trip."""


@dataclass
class Site:
    """A folder of documents, two servers, and the command."""

    folder: Path
    command: Command
    servers: Servers
    redis: Redis
    milvus: MilvusClient
    endpoint: FakeEndpoint

    @property
    def docs(self) -> Path:
        """The source."""
        return self.folder / "docs"

    def bring(self, *arguments: str | Path) -> dict[str, Any]:
        """Import the source, with a worker that ends afterwards."""
        with self.command.started("worker"):
            ended = self.command.run("import", self.docs, "--json", *arguments).expect(0)
        (summary,) = ended.json
        return dict(summary)

    def verify(self, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
        """Verify."""
        return dict(self.command.run("verify", "--json", *arguments).expect(code).json)

    def rows(self) -> set[str]:
        """Read the ids of all rows."""
        return set(self.servers.rows(COLLECTION))

    @property
    def requests(self) -> int:
        """Count what the endpoint was asked."""
        return int(self.endpoint.stats()["requests"])

    def assert_whole(self) -> None:
        """Fail unless rows, ledger and files agree."""
        self.servers.assert_holds(COLLECTION, chunks_of(self.docs))


@pytest.fixture
def site(tmp_path: Path, endpoint: FakeEndpoint) -> Iterator[Site]:
    """Give servers of this test alone."""
    quiet_libraries()
    with ExitStack() as stack:
        redis = stack.enter_context(redis_tcp_server(tmp_path, appendonly=True))
        milvus = stack.enter_context(milvus_lite(tmp_path / "milvus"))
        client = connect(Settings.model_validate({"milvus_uri": milvus.uri}))
        stack.callback(client.close)
        command = Command(
            tmp_path,
            redis_url=redis.url,
            milvus_uri=milvus.uri,
            embedding_provider="openai",
            embedding_base_url=endpoint.url,
            embedding_dimensions=384,
            embedding_api_key="no-key",
        )
        yield Site(
            tmp_path,
            command,
            Servers(redis.url, milvus.uri),
            stack.enter_context(Redis.from_url(redis.url)),
            client,
            endpoint,
        )


def test_a_lost_redis_is_rebuilt_and_nothing_embedded(site: Site) -> None:
    """After FLUSHALL and a repair the next import says unchanged; a killed repair is repeated."""
    write_library(site.docs, 40, 3_000)
    write_library(site.folder / "docs" / "small", SMALL, 100)
    assert site.bring()["new"] == 40 + SMALL
    site.assert_whole()
    assert site.verify()["equal"]
    rows, requests = site.rows(), site.requests
    _kill_a_repair_in_the_middle(site)
    verdict = site.verify("--repair")
    assert verdict["equal"]
    assert set(verdict["found"]) == {"unknown"}
    assert 0 < verdict["found"]["unknown"] < 40 + SMALL
    summary = site.bring()
    assert (summary["unchanged"], summary["chunks"]) == (40 + SMALL, 0)
    assert site.requests == requests
    assert site.rows() == rows
    site.assert_whole()
    assert site.verify()["equal"]


def _kill_a_repair_in_the_middle(site: Site) -> None:
    """Kill the command when some documents are known again, and not all."""
    for _ in range(5):
        site.redis.flushall()
        with site.command.started("verify", "--repair") as repairing:
            until(lambda: _known(site) > 0 or not repairing.runs, "documents to be adopted", 60)
            repairing.kill()
            repairing.wait()
        if 0 < _known(site) < 40 + SMALL:
            return
    raise AssertionError("never killed in the middle")


def _known(site: Site) -> int:
    return int(site.redis.zcard(KEYS.source("docs")))


def test_a_plain_import_after_a_lost_redis_embeds_nothing(site: Site) -> None:
    """It rebuilds the ledger by itself, says so, and deletes what vanished meanwhile."""
    write_library(site.docs, 20, 2_000)
    site.bring()
    requests = site.requests
    site.redis.flushall()
    (site.docs / "shelf-1" / "book-001.md").unlink()
    ended = site.command.run("import", site.docs, "--json", "--detach").expect(0)
    assert "20 documents are known again" in ended.err
    (summary,) = ended.json
    assert (summary["unchanged"], summary["deleted"]) == (19, 1)
    assert site.bring()["resumed"] <= 1
    assert site.requests == requests
    site.assert_whole()


def test_lost_and_stale_rows_are_mended_from_the_source(site: Site) -> None:
    """Only the documents that lost rows are read again; exit code 1 until all is well."""
    write_library(site.docs, 20, 4_000)
    site.bring()
    rows = sorted(site.rows())
    lost = [rows[0], rows[-1]]
    site.milvus.delete(COLLECTION, ids=lost)
    stale = _a_row_of_an_older_version(site, rows[1])
    verdict = site.verify(code=1)
    assert verdict["found"] == {"missing": 2, "stale": 1}
    assert site.rows() == {*rows, stale} - set(lost), "a look changes nothing"
    with site.command.started("worker"):
        ended = site.command.run("verify", "--repair").expect(0)
    assert "2 documents were read again" in ended.out
    assert "everything agrees" in ended.out
    site.assert_whole()
    assert stale not in site.rows()
    untouched = {row for row in rows if row.partition(":")[0] not in _documents(lost)}
    assert untouched <= site.rows()
    assert site.bring()["unchanged"] == 20


def _a_row_of_an_older_version(site: Site, row: str) -> str:
    (entity,) = site.milvus.query(COLLECTION, ids=[row], output_fields=["*"])
    stale = f"{entity['document_id']}:1700000000000:0"
    entity = {**entity, "chunk_id": stale, "version": 1_700_000_000_000, "ordinal": 0}
    site.milvus.upsert(COLLECTION, [entity])
    return stale


def _documents(rows: list[str]) -> set[str]:
    return {row.partition(":")[0] for row in rows}


@pytest.mark.parametrize("mended_by", ["import", "verify"])
def test_a_dropped_collection_is_filled_again(site: Site, mended_by: str) -> None:
    """An import never says unchanged of documents that went with their collection."""
    write_library(site.docs, 20, 2_000)
    site.bring()
    site.milvus.drop_collection(f"{COLLECTION}_1")
    assert site.verify(code=1)["found"] == {"missing": 20}
    if mended_by == "import":
        summary = site.bring()
        assert (summary["changed"], summary["unchanged"]) == (20, 0)
    else:
        with site.command.started("worker"):
            verdict = site.verify("--repair")
        assert verdict["reread"] == 20
    site.assert_whole()
    assert site.verify()["equal"]
    assert site.bring()["unchanged"] == 20


def test_changes_in_the_source_are_told(site: Site) -> None:
    """New, changed and gone files are differences that an import mends, not a repair."""
    write_library(site.docs, 8, 1_000)
    site.bring()
    books = sorted(site.docs.rglob("*.md"))
    books[0].unlink()
    books[1].write_text("Quite another book.\n")
    (site.docs / "new.md").write_text("A new book.\n")
    for arguments in ((), (site.docs,), ("--repair",)):
        verdict = site.verify(*arguments, code=1)
        assert verdict["found"] == {"source_new": 1, "source_changed": 1, "source_gone": 1}
        assert any("headrace import" in note for note in verdict["notes"])
    site.bring()
    assert site.verify()["equal"]
    assert site.verify(site.docs / "new.md")["equal"], "a PATH is compared alone"


def test_rows_that_nobody_owns_are_deleted_only_when_told_to(site: Site) -> None:
    """With nobody to ask they stay; totals that are wrong are mended unasked."""
    write_library(site.docs, 4, 1_000)
    site.bring()
    row = min(site.rows())
    (entity,) = site.milvus.query(COLLECTION, ids=[row], output_fields=["*"])
    site.milvus.upsert(COLLECTION, [{**entity, "chunk_id": "somebody's"}])
    site.redis.hincrby(KEYS.totals, "batches", 3)
    ended = site.command.run("verify", "--repair").expect(1)
    assert "nobody is here to be asked" in ended.err
    assert "somebody's" in ended.out
    assert "somebody's" in site.rows()
    assert int(site.redis.hget(KEYS.totals, "batches") or 0) == 0
    assert site.verify("--repair", "--yes")["equal"]
    site.assert_whole()


def test_what_can_not_be_compared_does_not_agree(site: Site) -> None:
    """A server that is away is exit code 3, a collection that nobody knows is wrong use."""
    unknown = site.command.run("verify", "--collection", "typo").expect(2)
    assert "'typo'" in unknown.err
    away = site.command.with_settings(milvus_uri="http://127.0.0.1:1")
    assert "127.0.0.1:1" in away.run("verify", "--json").expect(3).err
