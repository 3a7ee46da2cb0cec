"""Removing documents of a source: all, or those that were not seen for long."""

from typing import cast

import pytest
from celery import Celery
from redis.asyncio import Redis

from contract.ledger.ledger import Ledger
from contract.ledger.sources import Sources
from contract.settings import Settings
from producers.removing import Removal
from tests.producers.brook import COLLECTION, SOURCE, Bank, Brook, item, silence

NO_APP = cast("Celery", None)


@pytest.fixture
def bank(redis: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """Give a ledger."""
    silence(monkeypatch)
    return Bank(redis, settings)


def removal(bank: Bank, **options: int) -> Removal:
    """Make a removal."""
    return Removal(bank.redis, bank.settings, COLLECTION, SOURCE, **options)


async def test_all_documents_of_a_source_go(bank: Bank) -> None:
    """Those of others stay; letters that were all there was of a document go as well."""
    await bank.bring([item(id="a", text="one"), item(id="b", text="two"), item(id="c", text=1)])
    await bank.bring([item(id="d", text="other")], brook=Brook(name="another"))
    assert await bank.ledger.letters.count() == 1
    run = removal(bank)
    await run.run(NO_APP)
    await bank.worker.drain()
    assert list(bank.texts().values()) == [["other"]]
    assert run.tally.promised == 3
    assert await bank.ledger.letters.count() == 0
    assert await Sources(bank.redis, COLLECTION).forget(SOURCE)


async def test_killed_on_the_way_the_same_again_does_the_rest(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was promised and not published is promised anew."""
    await bank.bring([item(id=key, text=key) for key in "abc"])

    async def kill(*_: object) -> list[str]:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "publish", kill)
        with pytest.raises(RuntimeError, match="killed"):
            await removal(bank).run(NO_APP)
    await bank.worker.drain()
    assert len(bank.texts()) == 3
    await removal(bank).run(NO_APP)
    again = removal(bank)
    await again.run(NO_APP)  # published, not through: nothing is promised twice
    assert again.tally.promised == 0
    assert len(again.tally.awaited_jobs) == 1
    await bank.worker.drain()
    assert bank.texts() == {}


async def test_only_what_was_last_seen_before(bank: Bank) -> None:
    """What comes again in the meantime stays."""
    await bank.bring([item(id="a", text="one"), item(id="b", text="two")])
    now = await bank.ledger.promises.begin_listing(SOURCE, "a brook")
    await bank.bring([item(id="b", text="two")])
    await removal(bank, before_ms=now).run(NO_APP)
    await bank.worker.drain()
    assert bank.texts() == {"b": ["two"]}
