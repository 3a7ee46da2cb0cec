"""Promises of the status, with a real Redis."""

import orjson
from redis.asyncio import Redis

from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import DeadLetter
from contract.presence import KEY
from headrace.status import read_status, status_as_dict


def _letter(document: str) -> DeadLetter:
    return DeadLetter(
        id=document, document_id=document, source="docs", key="a.md", job="j", stage="read",
        reason="too_big", message="it is", at_ms=1,
    )  # fmt: skip


async def test_an_empty_ledger_has_nothing_to_tell(redis: Redis) -> None:
    """Before the first import there are no collections and no workers."""
    status = status_as_dict(await read_status(redis, jobs=5))
    assert status == {"running": True, "workers": [], "collections": []}


async def test_every_collection_with_its_newest_jobs(redis: Redis) -> None:
    """Collections are named in order, with dead letters and a limited number of jobs."""
    for collection in ("b", "a"):
        jobs = Jobs(redis, collection)
        created = [await jobs.create("docs") for _ in range(3)]
        await jobs.seal(created[0], {"documents_listed": 7})
    await Ledger(redis, "a").bury([_letter("x"), _letter("y")])
    status = await read_status(redis, jobs=2)
    await redis.zadd(KEY, {"host:1:aa:": status.now_ms, "host:2:bb:": status.now_ms - 60_000})
    status = await read_status(redis, jobs=3)
    assert status.workers == ("host:1:aa:",), "a worker silent for a minute is gone"
    assert [item.name for item in status.collections] == ["a", "b"]
    assert [item.dead_letters for item in status.collections] == [2, 0]
    shown = status_as_dict(status)
    orjson.dumps(shown)
    jobs_shown = {job["id"]: job for job in shown["collections"][0]["jobs"]}
    assert jobs_shown[created[0]]["state"] == "done"
    assert jobs_shown[created[0]]["counts"]["documents_listed"] == 7
    assert {job["state"] for job in jobs_shown.values()} == {"done", "listing"}
    limited = await read_status(redis, jobs=2)
    assert [len(item.jobs) for item in limited.collections] == [2, 2]
