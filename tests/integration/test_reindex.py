"""Promises of a re-index: a year of changes to real documents, under searches that never stop.

On the real Milvus server: a search of Milvus Lite sees no single moment of a collection.
"""

import itertools
import os
import random
import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from contract.ids import document_id
from contract.settings import Settings
from tests.servers.command import Command
from tests.servers.contents import Servers, pieces_of
from tests.servers.endpoint import FakeEndpoint
from tests.servers.redis import redis_tcp_server
from worker.collections import PRIMARY_FIELD, VECTOR_FIELD
from worker.milvus import connect

pytestmark = [pytest.mark.corpus, pytest.mark.slow, pytest.mark.timeout(900)]

_EACH = 20
"""How many files are deleted, renamed and changed in one sentence, besides the year's changes."""
_SENTENCE = re.compile(r"(?<=\. )[A-Z][^.\n]{20,}\.")
_DIMENSIONS = 384
_PAGE = 1_000
_SEARCHERS = 10
"""A search that must see what was acknowledged waits some 200 ms for the server's clock."""


@pytest.fixture(scope="session")
def snapshots() -> tuple[Path, Path]:
    """Give the two folders of the corpus, read before a test's own fixture hides the variable."""
    folder = os.environ.get("TEST_CORPUS")
    if not folder:
        pytest.skip("TEST_CORPUS names no folder")
    before = Path(folder)
    after = before.with_name("peps-2026-08")
    if not after.is_dir():
        pytest.skip(f"{after} is not there")
    return before, after


def _make_changes(folder: Path, before: Path, seed: int) -> None:
    """Delete, rename, and change one sentence each in some files that were there before."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    with_sentence = [
        path
        for path in sorted(folder.rglob("*.rst"))
        if (before / path.relative_to(folder)).exists() and _SENTENCE.search(path.read_text())
    ]
    chosen = draw.sample(with_sentence, 3 * _EACH)
    for path in chosen[:_EACH]:
        path.unlink()
    for path in chosen[_EACH : 2 * _EACH]:
        path.rename(path.with_name(f"moved-{path.name}"))
    for path in chosen[2 * _EACH :]:
        text = path.read_text()
        found = draw.choice(list(_SENTENCE.finditer(text)))
        path.write_text(f"{text[: found.start()]}Nobody mills here.{text[found.end() :]}")


@dataclass
class _Library:
    """What a folder is cut into.

    Attributes:
        texts: document -> each of its texts, and how often it is there.
        contents: document -> the bytes of its file.
    """

    texts: dict[str, Counter[str]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> "_Library":
        library = cls()
        for path in folder.rglob("*"):
            if path.is_file():
                key = os.fsencode(path.relative_to(folder))
                library.contents[document_id(folder.name, key)] = path.read_bytes()
        for document, pieces in pieces_of(folder):
            library.texts[document] = Counter(piece.text for piece in pieces)
        return library

    def new_texts(self, before: "_Library") -> int:
        """Count the chunks that have to be embedded: neither in this document nor in a twin."""
        twins = {before.contents[document]: texts for document, texts in before.texts.items()}
        count = 0
        for document, texts in self.texts.items():
            known = before.texts.get(document) or twins.get(self.contents[document]) or Counter()
            count += sum(times for text, times in texts.items() if text not in known)
        return count


class _Probe:
    """Searches for one document after the other, and remembers those that it missed."""

    def __init__(self, servers: Servers, collection: str, documents: list[str]) -> None:
        self._client = connect(Settings.model_validate({"milvus_uri": servers.milvus_uri}))
        self._collection = collection
        self._documents = documents
        self._turns = itertools.count()
        self._done = threading.Event()
        self.missed: list[str] = []
        self.searches = 0

    def _search(self) -> None:
        while not self._done.is_set():
            document = self._documents[next(self._turns) % len(self._documents)]
            found = self._client.search(
                self._collection,
                data=[[1.0] * _DIMENSIONS],
                anns_field=VECTOR_FIELD,
                filter=f'document_id == "{document}"',
                limit=1,
                consistency_level="Strong",
            )
            self.searches += 1
            if not found[0]:
                self.missed.append(document)

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Search all the time while the block lasts."""
        with ThreadPoolExecutor(_SEARCHERS) as pool:
            searchers = [pool.submit(self._search) for _ in range(_SEARCHERS)]
            try:
                yield
            finally:
                self._done.set()
        self._client.close()
        for searcher in searchers:
            searcher.result()


def _rows(servers: Servers, collection: str) -> dict[tuple[str, int], dict[str, Any]]:
    """Read all rows: document and ordinal -> everything but vector, version and id."""
    client = connect(Settings.model_validate({"milvus_uri": servers.milvus_uri}))
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    try:
        client.load_collection(collection)
        pages = client.query_iterator(
            collection, batch_size=_PAGE, output_fields=["*"], consistency_level="Strong"
        )
        while page := pages.next():
            for row in page:
                place = (row["document_id"], row["ordinal"])
                assert place not in rows, f"{place} is there twice"
                rows[place] = {
                    name: value
                    for name, value in row.items()
                    if name not in {PRIMARY_FIELD, VECTOR_FIELD, "version"}
                }
        pages.close()
    finally:
        client.close()
    return rows


def _embedded(endpoint: FakeEndpoint) -> Mapping[str, int]:
    """Give how many requests and texts came since the last time."""
    stats = endpoint.stats()
    endpoint.reset()
    return {name: int(stats[name]) for name in ("requests", "texts")}


@dataclass(frozen=True)
class _Site:
    """The real server, a Redis, and a worker that serves them."""

    folder: Path
    servers: Servers
    headrace: Command


@pytest.fixture
def site(tmp_path: Path, milvus_server_uri: str, endpoint: FakeEndpoint) -> Iterator[_Site]:
    """Run them while the test lasts."""
    with redis_tcp_server(tmp_path, appendonly=True) as redis:
        command = Command(
            tmp_path,
            redis_url=redis.url,
            milvus_uri=milvus_server_uri,
            embedding_provider="openai",
            embedding_base_url=endpoint.url,
            embedding_dimensions=_DIMENSIONS,
            embedding_api_key="no-key",
            index_type="FLAT",  # a search by an approximate index may miss what is there
        )
        with command.started("worker"):
            yield _Site(tmp_path, Servers(redis.url, milvus_server_uri), command)


def test_a_year_of_changes(
    snapshots: tuple[Path, Path], site: _Site, endpoint: FakeEndpoint
) -> None:
    """Rows are those of a fresh import; only new texts are embedded; no search misses anything."""
    seed = int.from_bytes(os.urandom(4))
    folder = site.folder / "reindexed"
    shutil.copytree(snapshots[0], folder)
    command = site.headrace.with_settings(collection="reindexed")
    command.run("import", folder, seconds=400).expect(0)
    before = _Library.of(folder)
    shutil.rmtree(folder)
    shutil.copytree(snapshots[1], folder)
    _make_changes(folder, snapshots[0], seed)
    after = _Library.of(folder)
    kept = sorted(before.texts.keys() & after.texts.keys())
    changed = [document for document in kept if before.texts[document] != after.texts[document]]
    assert len(changed) >= _EACH
    probe = _Probe(site.servers, "reindexed", changed + random.Random(seed).sample(kept, 100))  # noqa: S311
    _embedded(endpoint)
    with probe.searching():
        (summary,) = command.run("import", folder, "--json", seconds=400).expect(0).json
    reindex = _embedded(endpoint)
    assert summary["deleted"] == len(before.texts.keys() - after.texts.keys()) >= 2 * _EACH
    assert summary["new"] == len(after.texts.keys() - before.texts.keys())
    assert summary["changed"] == len(
        [document for document in kept if before.contents[document] != after.contents[document]]
    )
    fresh_command = site.headrace.with_settings(collection="reindexed_fresh")
    (fresh_summary,) = fresh_command.run("import", folder, "--json", seconds=400).expect(0).json
    fresh = _embedded(endpoint)
    new_texts = after.new_texts(before)
    print(  # noqa: T201 - the figures are the point
        f"seed {seed}: re-index {reindex}, {new_texts} new chunks, {summary['chunks']} written, "
        f"{summary['reused']} reused; fresh {fresh}, {fresh_summary['chunks']} written; "
        f"{probe.searches} searches, {len(probe.missed)} missed"
    )
    assert _rows(site.servers, "reindexed") == _rows(site.servers, "reindexed_fresh")
    site.servers.assert_holds(
        "reindexed", {document: texts.total() for document, texts in after.texts.items()}
    )
    assert reindex["texts"] <= new_texts
    # More than what the same document had: texts are shared within a batch.
    assert summary["reused"] >= summary["chunks"] - new_texts
    assert probe.searches > len(changed) // 4, "hardly anything was looked for"
    assert not probe.missed
