"""Promises of rebuilding: what is known stays, what is mended is mended once."""

from redis.asyncio import Redis

from contract.ids import document_id
from contract.ledger.jobs import Jobs
from contract.ledger.promises import Promises
from contract.ledger.rebuilding import Adoption, Rebuilding
from contract.ledger.records import Outcome, Promise

SOURCE = "books"
DOCUMENT = document_id(SOURCE, b"a.md")


def adoption(version: int = 7, content: str = "c") -> Adoption:
    """Say what Milvus holds."""
    return Adoption(
        document_id=DOCUMENT,
        source=SOURCE,
        key_bytes=b"a.md",
        content_hash=content if version else "",
        version=version,
        chunk_count=2 if version else 0,
        has_others=not version,
    )


def promise(content: str) -> Promise:
    """Say what a producer reads."""
    return Promise(
        document_id=DOCUMENT, source=SOURCE, key_bytes=b"a.md", content_hash=content, chunk_count=3
    )


async def test_an_adopted_document_is_as_if_it_had_been_imported(redis: Redis) -> None:
    """Unchanged, or changed with a newer version; its source is known, but not its place."""
    rebuilding, promises = Rebuilding(redis, "books"), Promises(redis, "books")
    assert await rebuilding.adopt([adoption()]) == [True]
    assert await rebuilding.sources() == [SOURCE]
    assert await promises.sources() == {}
    assert await promises.origin(SOURCE) is None
    job = await Jobs(redis, "books").create(SOURCE)
    (same,) = await promises.register(job, [promise("c")])
    assert (same.outcome, same.version) == (Outcome.UNCHANGED, 7)
    (other,) = await promises.register(job, [promise("d")])
    assert other.outcome is Outcome.CHANGED
    assert other.version > 7


async def test_what_is_known_is_not_adopted(redis: Redis) -> None:
    """Neither twice, nor over a document that was promised meanwhile."""
    rebuilding, promises = Rebuilding(redis, "books"), Promises(redis, "books")
    assert await rebuilding.adopt([adoption()]) == [True]
    assert await rebuilding.adopt([adoption(8), adoption(0)]) == [False, False]
    (state,) = await rebuilding.states([DOCUMENT])
    assert (state.wanted, state.committed, state.committed_count) == (7, 7, 2)
    await redis.flushall()
    (made,) = await promises.register("job", [promise("new")])
    assert await rebuilding.adopt([adoption()]) == [False]
    (state,) = await rebuilding.states([DOCUMENT])
    assert (state.wanted, state.committed) == (made.version, 0)
    assert state.in_progress


async def test_a_document_without_a_whole_version_awaits_reading(redis: Redis) -> None:
    """It can be adopted once a version turns out to be whole, and forgotten when all is gone."""
    rebuilding = Rebuilding(redis, "books")
    assert await rebuilding.adopt([adoption(0)]) == [True]
    assert await rebuilding.adopt([adoption(0)]) == [False]
    states = await rebuilding.states([DOCUMENT])
    assert states[0].awaits_reading
    assert not states[0].is_known
    assert not states[0].in_progress
    await rebuilding.forget(states)
    assert not (await rebuilding.states([DOCUMENT]))[0].source
    assert [page async for page in rebuilding.pages(SOURCE)] == []
    await rebuilding.adopt([adoption(0)])
    assert await rebuilding.adopt([adoption()]) == [True]
    await rebuilding.forget(states)
    assert (await rebuilding.states([DOCUMENT]))[0].is_known, "known by now: not forgotten"


async def test_invalidation_is_undone_by_the_same_content_in_a_new_version(redis: Redis) -> None:
    """The next import promises it again; until then the committed version stands."""
    rebuilding, promises = Rebuilding(redis, "books"), Promises(redis, "books")
    await rebuilding.adopt([adoption()])
    states = await rebuilding.states([DOCUMENT])
    assert await rebuilding.invalidate(states) == [True]
    assert await rebuilding.invalidate(states) == [True]
    (state,) = await rebuilding.states([DOCUMENT])
    assert state.awaits_reading
    assert (state.wanted, state.committed) == (7, 7)
    assert await promises.lookup([(DOCUMENT, "c")]) == [None]
    (made,) = await promises.register("job", [promise("c")])
    assert made.outcome is Outcome.CHANGED
    assert await rebuilding.invalidate(states) == [False]
    assert (await rebuilding.states([DOCUMENT]))[0].is_valid


async def test_many_documents_come_in_pages(redis: Redis) -> None:
    """Each at least once."""
    rebuilding = Rebuilding(redis, "books")
    keys = [f"{number}.md".encode() for number in range(1_000)]
    await rebuilding.adopt(
        [
            Adoption(
                document_id=document_id(SOURCE, key),
                source=SOURCE,
                key_bytes=key,
                content_hash="c",
                version=1,
                chunk_count=1,
            )
            for key in keys
        ]
    )
    pages = [page async for page in rebuilding.pages(SOURCE)]
    assert len(pages) > 2
    assert {state.key_bytes for page in pages for state in page} == set(keys)


async def test_the_counterpart_is_remembered(redis: Redis) -> None:
    """Which collection the ledger is about, and whether it knows all of it."""
    rebuilding = Rebuilding(redis, "books")
    assert await rebuilding.counterpart() is None
    assert not await rebuilding.is_built()
    await rebuilding.set_counterpart("")
    await rebuilding.mark_built()
    assert await rebuilding.counterpart() == ""
    assert await rebuilding.is_built()
