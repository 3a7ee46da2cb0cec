"""Promises about what arrives late: writes of a worker that was stopped, and old batches."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pymilvus import MilvusClient

from benchmarks.rig.patience import until
from benchmarks.rig.proxy import Proxy
from benchmarks.rig.rig import COLLECTION, LEASE_SECONDS, Rig, running_rig
from contract.batch import decode
from contract.ids import document_id
from contract.ledger.records import ClaimState
from contract.queue import announce, waiting_messages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_PATIENCE_SECONDS = 60.0
_CHANGES = 12
_SLOW_SECONDS = 25.0
_UPSERT_BYTES = 500
"""More than pings, less than a row."""


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Run two workers, with everything imported and at rest."""
    async with running_rig(tmp_path, "late", 6, say=print) as rig:
        assert await rig.importer.once() == 1, "the poison is a dead letter"
        await rig.rest(_PATIENCE_SECONDS)
        yield rig


def _write(rig: Rig, words: str) -> str:
    """Write a book of one chunk, which was not there at first; returns its document's id.

    Nothing of a new document can be reused, so what Milvus hears of it first is the write.
    """
    book = rig.library.folder / "late.md"
    book.write_text(f"# Late\n\n{words}\n", encoding="utf-8")
    return document_id(rig.library.folder.name, b"late.md")


async def _shows(client: MilvusClient, document: str, *texts: str) -> bool:
    """Tell whether exactly these texts are there of a document."""
    rows: list[dict[str, Any]] = await asyncio.to_thread(
        client.query, COLLECTION, f'document_id == "{document}"', output_fields=["text"]
    )
    return sorted(row["text"].rpartition("\n")[2] for row in rows) == sorted(texts)


async def _holds(proxy: Proxy) -> bool:
    return proxy.held_bytes >= _UPSERT_BYTES


async def _asked(rig: Rig, requests: int) -> bool:
    return bool(rig.endpoint.stats()["requests"] > requests)


async def _all_heard(rig: Rig) -> bool:
    return not await asyncio.to_thread(waiting_messages, rig.app)


@pytest.mark.parametrize("then", ["goes on", "is killed"])
async def test_a_write_that_arrives_after_a_newer_version_does_not_stay(
    rig: Rig, then: str
) -> None:
    """A worker is stopped in a write; others finish its batch and the version after it."""
    stopped, other = rig.workers
    client = MilvusClient(rig.milvus.uri)
    await other.program.send(signal.SIGSTOP)
    stopped.milvus.hold()
    document = _write(rig, "the first text")
    assert await rig.importer.once(detach=True) == 0
    await until(lambda: _holds(stopped.milvus), "a write on its way", _PATIENCE_SECONDS)
    await stopped.program.send(signal.SIGSTOP)
    await other.program.send(signal.SIGCONT)
    first, second = "the first text", "the second text"
    await until(lambda: _shows(client, document, first), "the other worker", _PATIENCE_SECONDS)
    _write(rig, second)
    assert await rig.importer.once() == 1
    assert await _shows(client, document, second)
    stopped.milvus.release()
    await until(lambda: _shows(client, document, first, second), "the late write", 5)
    number = signal.SIGCONT if then == "goes on" else signal.SIGKILL
    await stopped.program.send(number)
    await rig.rest(_PATIENCE_SECONDS)
    found = await rig.judge()
    client.close()
    assert found.good, found.differences


async def test_a_version_that_is_superseded_before_it_is_written_leaves_no_rows(
    tmp_path: Path,
) -> None:
    """Its worker looks once more after writing; the quarantine is too long to do it instead."""
    longer = {"quarantine_seconds": 3_600, "embedding_timeout_seconds": 60}
    async with running_rig(tmp_path, "look", 3, say=print, workers=1, **longer) as rig:
        assert await rig.importer.once() == 1, "the poison is a dead letter"
        client = MilvusClient(rig.milvus.uri)
        requests = rig.endpoint.stats()["requests"]
        rig.endpoint.faults(latency_seconds=_SLOW_SECONDS)
        document = _write(rig, "the first text")
        rig.library.poisoned.unlink()
        assert await rig.importer.once(detach=True) == 0
        await until(lambda: _asked(rig, requests), "the first text at the endpoint", 20)
        (slow,) = rig.tap.unfinished
        await rig.calm()
        _write(rig, "the second text")
        assert await rig.importer.once(detach=True) == 0
        await until(lambda: _shows(client, document, "the second text"), "the second text", 20)
        assert slow in rig.tap.unfinished, "the machine was too slow for this test"
        await rig.rest(_PATIENCE_SECONDS, quarantine=False)
        alone = await _shows(client, document, "the second text")
        client.close()
        assert alone, "rows of the superseded version are left"


async def test_old_batches_change_nothing(rig: Rig) -> None:
    """Published and announced again, claimed directly: after newer versions, all in vain."""
    for _ in range(_CHANGES):
        rig.library.change()
    assert await rig.importer.once() == 1
    await rig.rest(_PATIENCE_SECONDS)
    old = rig.tap.finished_ids()
    assert len(old) >= 5
    before = await rig.judge()
    await rig.ledger.publish([decode(rig.tap.payloads[batch]) for batch in old])
    await asyncio.to_thread(announce, rig.app, COLLECTION, old * 2)
    await until(lambda: _all_heard(rig), "workers to hear of all of it", _PATIENCE_SECONDS)
    for batch in old:
        claim = await rig.ledger.claim(batch, "late", LEASE_SECONDS)
        assert claim.state is ClaimState.GONE
    found = await rig.judge()
    assert found.good, found.differences
    assert found.facts == before.facts, "no counter has moved"
