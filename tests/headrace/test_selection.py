"""Promises of a selection of dead letters, with a real Redis."""

from dataclasses import asdict

import pytest
from redis.asyncio import Redis

from contract.ledger.jobs import Jobs
from contract.ledger.letters import Letters
from contract.ledger.records import DeadLetter
from headrace.selection import Selection


def _letter(key: str, **fields: object) -> DeadLetter:
    values: dict[str, object] = {
        "document_id": f"id-{key}", "source": "docs", "key": key, "key_bytes": key.encode(),
        "job": "j", "stage": "read", "reason": "too_big", "message": "it is", "at_ms": 1_000,
    }  # fmt: skip
    return DeadLetter(**{**values, **fields})  # type: ignore[arg-type]


def _named(case: Selection | bool) -> str:  # noqa: FBT001 - either argument of the test
    """Name what is given, alike in every process: a set has no order."""
    if isinstance(case, bool):
        return str(case)
    given = {name: value for name, value in asdict(case).items() if value}
    return str(given | {"documents": sorted(case.documents)})


@pytest.mark.parametrize(
    ("selection", "matches"),
    [
        (Selection(), True),
        (Selection(source="docs"), True),
        (Selection(source="doc"), False),
        (Selection(reason="TOO_BIG"), True),
        (Selection(reason="too"), False),
        (Selection(stage="embed"), False),
        (Selection(since_ms=1_000, until_ms=1_000), True),
        (Selection(since_ms=1_001), False),
        (Selection(until_ms=999), False),
        (Selection(documents=frozenset({"a.md", "b.md"})), True),
        (Selection(documents=frozenset({"id-a.md"})), True),
        (Selection(documents=frozenset({"a"})), False),
        (Selection(source="docs", stage="write"), False),
    ],
    ids=_named,
)
def test_all_that_is_given_must_hold(selection: Selection, matches: bool) -> None:  # noqa: FBT001
    """Each filter leaves out what differs, and those that are not given nothing."""
    assert selection.matches(_letter("a.md")) is matches


async def test_letters_of_all_collections_or_of_one(redis: Redis) -> None:
    """Each letter comes with its collection; more than a page of them come as well."""
    for collection in ("b", "a"):
        await Jobs(redis, collection).create("docs")
    await Letters(redis, "a").bury(_letter(f"{n}.md") for n in range(450))
    await Letters(redis, "b").bury([_letter("b.md"), _letter("c.md", stage="write")])
    everything = [pair async for pair in Selection().letters(redis)]
    assert len(everything) == 452
    assert [name for name, _ in everything] == ["a"] * 450 + ["b"] * 2
    chosen = Selection(collection="b", stage="write")
    assert [letter.key async for _, letter in chosen.letters(redis)] == ["c.md"]
    assert [x async for x in Selection(collection="nowhere").letters(redis)] == []
