"""The judgement at rest must see what is wrong: each kind of wrong is made here on purpose."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from pymilvus import MilvusClient

from benchmarks.rig.judge import Judgement
from benchmarks.rig.rig import COLLECTION, Rig, running_rig
from contract.ledger.connection import text
from contract.names import Keys

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

_KEYS = Keys(COLLECTION)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Run a small rig, with everything imported and at rest."""
    async with running_rig(tmp_path, "judge", 6, say=print, workers=1) as rig:
        assert await rig.importer.once() == 1, "the poison is a dead letter"
        await rig.rest(30)
        yield rig


def _row(client: MilvusClient) -> dict[str, Any]:
    (row,) = client.query(COLLECTION, "ordinal == 0", output_fields=["*"], limit=1)
    return dict(row)


def _lose(client: MilvusClient) -> None:
    client.delete(COLLECTION, ids=[_row(client)["chunk_id"]])


def _leave_an_old_version(client: MilvusClient) -> None:
    row = _row(client)
    row["version"] -= 1
    row["chunk_id"] = f"{row['document_id']}:{row['version']}:0"
    client.upsert(COLLECTION, [row])


def _write_twice(client: MilvusClient) -> None:
    client.upsert(COLLECTION, [{**_row(client), "chunk_id": "another"}])


def _change_the_text(client: MilvusClient) -> None:
    client.upsert(COLLECTION, [{**_row(client), "text": "another"}])


def _turn_the_vector(client: MilvusClient) -> None:
    row = _row(client)
    client.upsert(COLLECTION, [{**row, "vector": [-x for x in row["vector"]]}])


async def test_it_sees_what_is_wrong_with_rows(rig: Rig) -> None:
    """Lost, stale, twice, of another text, with another vector; and good at first and last."""
    good = await rig.judge()
    assert good.good, good.differences
    assert good.facts["documents"] == 6
    client = MilvusClient(rig.milvus.uri)
    wrongs: list[tuple[Callable[[MilvusClient], None], Callable[[Judgement], bool], str]] = [
        (_leave_an_old_version, lambda found: found.stale == 1, "stale rows"),
        (_write_twice, lambda found: found.stale == 1, "stale rows"),
        (_change_the_text, lambda found: (found.stale, found.lost) == (1, 1), "lost chunks"),
        (_turn_the_vector, lambda found: found.stale == 0, "vector of another text"),
        (_lose, lambda found: found.lost == 1, "lost chunks"),
    ]
    before = client.query(COLLECTION, "version > 0", output_fields=["*"])
    for do, sees, words in wrongs:
        do(client)
        found = await rig.judge()
        assert sees(found), (do, found)
        assert words in str(found.differences)
        client.delete(COLLECTION, filter="version > 0")
        client.upsert(COLLECTION, before)
    found = await rig.judge()
    assert found.good, found.differences
    client.close()


async def test_it_sees_what_is_wrong_with_the_ledger(rig: Rig) -> None:
    """Counters, work that is left, dead letters, documents that are not through."""
    (job,) = map(text, await rig.client.zrange(_KEYS.jobs, 0, -1))
    await rig.client.hincrby(_KEYS.job(job), "documents_committed", 1)
    far_ms = 4_000_000_000_000  # one that waited would be struck off by the rig's workers
    await rig.client.zadd(_KEYS.leased, {"batch": far_ms})
    await rig.client.hset(_KEYS.totals, "chunks", 1)
    await rig.client.sadd(_KEYS.open(job), "document")
    await rig.client.delete(_KEYS.dead)
    await rig.client.hset(_KEYS.document("unknown"), mapping={"wanted": 2, "committed": 1})
    found = await rig.judge()
    for words in (
        "jobs whose counters are wrong",
        "batches that are unfinished",
        "totals that are not zero",
        "jobs with open documents",
        "poison without a dead letter",
        "1 documents whose ledger entry is wrong",
    ):
        assert words in str(found.differences)
    assert (found.lost, found.stale, found.duplicates) == (0, 0, 0)
