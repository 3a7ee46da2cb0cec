"""Promises of a dry run, with a real ledger and workers without servers."""

import re
from typing import Any

import pytest

from contract.errors import UnreachableError, UsageError
from contract.settings import Settings
from headrace.dry_run import DryRun, dry_run
from headrace.forecast import Forecast
from producers.deleting import Deletions
from producers.sources.files import open_source
from tests.producers.conftest import mill as mill  # noqa: PLC0414 - a fixture
from tests.producers.mill import COLLECTION, SOURCE, Mill


async def _look(mill: Mill, deletions: Deletions = Deletions.ALLOWED, **more: Any) -> Forecast:
    source = open_source(str(mill.folder), name=SOURCE, **more)
    promises = mill.ledger.promises
    return await DryRun(mill.settings, source, COLLECTION, promises, deletions).look()


async def _everything(mill: Mill) -> dict[bytes, object]:
    """Read all that Redis holds."""
    return {key: await mill.redis.dump(key) async for key in mill.redis.scan_iter()}


async def test_it_tells_what_the_import_then_does(mill: Mill) -> None:
    """New, changed, deleted, emptied, unchanged, failed: foretold as they come, named, counted."""
    mill.write(**dict.fromkeys("abcdefgh", "some text that is cut into two"))
    await mill.bring()
    mill.write(a="changed", b="", x="new")
    mill.delete("c")
    (mill.folder / "d.md").write_bytes(b"\xef\xbb\xbf\xff")
    before = await _everything(mill)
    foretold = await _look(mill)
    assert await _everything(mill) == before, "it changed something"
    assert {named.key: named.fate for named in foretold.documents} == {
        "a.md": "changed",
        "b.md": "deleted",
        "c.md": "deleted",
        "x.md": "new",
    }
    producer = await mill.bring()
    job = await mill.job(producer)
    assert foretold.new == job.count("documents_new") == 1
    assert foretold.changed == job.count("documents_changed") == 1
    assert foretold.deleted == job.count("documents_deleted") == 2
    assert foretold.unchanged == job.count("documents_unchanged") == 4
    assert foretold.failed == job.count("documents_unreadable") == 1
    assert foretold.skipped == job.count("documents_skipped") == 1
    assert foretold.chunks == job.count("chunks") == 2
    assert foretold.tokens == 2, "as WordPiece counts 'changed' and 'new'"
    assert foretold.cost_usd == 0.0
    again = await _look(mill)
    assert (again.new, again.changed, again.deleted, again.chunks) == (0, 0, 0, 0)


async def test_without_a_ledger_everything_is_new(mill: Mill) -> None:
    """Before the first import there is nothing to ask, and nothing that could be gone."""
    mill.write(a="one", b="two")
    settings = mill.settings.model_copy(update={"redis_url": None, "embedding_price": 3.0})
    source = open_source(str(mill.folder))
    (forecast,) = await dry_run(settings, [source], Deletions.GUARDED, named=False)
    assert (forecast.new, forecast.deleted, forecast.unchanged) == (2, 0, 0)
    assert forecast.cost_usd == 0.000006


async def test_guard_and_no_delete(mill: Mill) -> None:
    """A guard that would stop the import says so; what is kept is named as gone."""
    mill.write(a="one", b="two")
    await mill.bring()
    mill.delete("a", "b")
    guarded = await _look(mill, Deletions.GUARDED)
    assert "2 of the 2 documents" in guarded.guard
    never = await _look(mill, Deletions.NEVER)
    assert never.guard == ""
    for forecast in (guarded, never):
        assert (forecast.deleted, forecast.kept) == (0, 2)
        assert {named.fate for named in forecast.documents} == {"gone"}
    assert (await _look(mill)).deleted == 2


async def test_what_a_glob_does_not_cover_is_not_gone(mill: Mill) -> None:
    """As in the import itself."""
    mill.write(a="one", b="two")
    await mill.bring()
    mill.delete("a", "b")
    assert (await _look(mill, glob="b*")).deleted == 1


async def test_deletions_that_are_promised_are_not_foretold_again(mill: Mill) -> None:
    """What an earlier job is about to delete is no news, and trips no guard."""
    mill.write(a="one")
    await mill.bring()
    mill.delete("a")
    await mill.publish(mill.producer())
    forecast = await _look(mill, Deletions.GUARDED)
    assert (forecast.deleted, forecast.guard) == (0, "")


async def test_an_incomplete_listing_foretells_no_deletion(
    mill: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be seen is not gone."""
    mill.write(a="one")
    await mill.bring()
    source = open_source(str(mill.folder), name=SOURCE)
    monkeypatch.setattr(source, "listing", lambda: iter(()))
    promises = mill.ledger.promises
    forecast = await DryRun(mill.settings, source, COLLECTION, promises).look()
    assert (forecast.deleted, forecast.incomplete) == (0, True)


async def test_it_refuses_what_the_import_refuses(mill: Mill, settings: Settings) -> None:
    """Another place of the same name, and a Redis that is not there."""
    mill.write(a="one")
    await mill.bring()
    elsewhere = open_source(str(mill.folder.parent), name=SOURCE)
    asked = mill.settings.model_copy(update={"collection": COLLECTION})
    with pytest.raises(UsageError, match=re.escape(str(mill.folder))):
        await dry_run(asked, [elsewhere], Deletions.GUARDED, named=False)
    (moved,) = await dry_run(asked, [elsewhere], Deletions.GUARDED, named=True)
    assert moved.collection == COLLECTION
    away = Settings.model_validate({"redis_url": "redis://127.0.0.1:1"})
    with pytest.raises(UnreachableError):
        await dry_run(away, [elsewhere], Deletions.GUARDED, named=False)
