"""Promises of searching for many at once, on both Milvus servers, with a counting endpoint."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymilvus import MilvusClient
from redis.asyncio import Redis

from contract.batch import Chunk, Part
from contract.errors import TimedOutError, UnreachableError, UsageError
from contract.settings import Settings
from headrace.checks import prepare_collection
from headrace.search import Terms
from headrace.searcher import IN_FLIGHT, Searcher
from tests.servers.endpoint import FakeEndpoint
from tests.servers.redis import free_port
from worker.embedding.build import make_embedder
from worker.embedding.embedder import Embedder
from worker.milvus import open_connection
from worker.store import MilvusStore, rows_of

TEXTS = [f"sluice number {number} of the mill" for number in range(40)]


@pytest.fixture
def ours(settings: Settings, milvus_uri: str, endpoint: FakeEndpoint) -> Settings:
    """Give settings that name real servers and the fake endpoint."""
    return settings.model_copy(
        update={
            "milvus_uri": milvus_uri,
            "embedding_provider": "openai",
            "embedding_base_url": endpoint.url,
            "embedding_dimensions": 384,
            "batch_max_chunks": 64,
        }
    )


@pytest.fixture
async def embedder(ours: Settings) -> AsyncIterator[Embedder]:
    """Give the model."""
    embedder = make_embedder(ours)
    yield embedder
    await embedder.aclose()


@pytest.fixture
async def searcher(ours: Settings, embedder: Embedder) -> AsyncIterator[Searcher]:
    """Give the object under test."""
    searcher = Searcher(ours, embedder)
    yield searcher
    await searcher.aclose()


@pytest.fixture
async def filled(
    redis: Redis,
    ours: Settings,
    embedder: Embedder,
    endpoint: FakeEndpoint,
    request: pytest.FixtureRequest,
) -> str:
    """Give the name of a collection that holds the texts; the endpoint's counts begin after."""
    name = str(request.node.name).partition("[")[0]
    await prepare_collection(redis, ours, name, embedder)
    part = Part(
        document_id="d" * 32,
        source="docs",
        version=1,
        content_hash="h",
        chunk_count=len(TEXTS),
        first=0,
        chunks=tuple(Chunk(key=text, text=text) for text in TEXTS),
        metadata={"path": "a.md"},
    )
    connection = open_connection(ours)
    store = MilvusStore(connection, f"{name}_1", ours)
    await store.upsert(rows_of(part), (await embedder.embed(TEXTS)).vectors)
    await store.close()
    await connection.aclose()
    endpoint.reset()
    return name


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give the number of vectors of each search that reaches Milvus from now on."""
    seen: list[int] = []
    real = MilvusClient.search

    def search(client: MilvusClient, collection: str, data: Any, **more: Any) -> Any:
        seen.append(len(data))
        return real(client, collection, data=data, **more)

    monkeypatch.setattr(MilvusClient, "search", search)
    return seen


async def test_many_texts_are_one_request_and_one_search(
    filled: str, searcher: Searcher, endpoint: FakeEndpoint, calls: list[int]
) -> None:
    """Each text gets its own hits, in the order of the texts; what is asked twice is sent once."""
    asked = [*reversed(TEXTS), TEXTS[0]]
    found = await searcher.search_many(asked, Terms(filled, limit=2))
    assert [hits[0].text for hits in found] == asked
    assert {len(hits) for hits in found} == {2}
    assert (endpoint.stats()["requests"], endpoint.stats()["texts"]) == (1, len(TEXTS))
    assert calls == [len(asked)]
    assert await searcher.search_many([], Terms(filled)) == []


async def test_searches_that_arrive_together_share_requests(
    filled: str, searcher: Searcher, endpoint: FakeEndpoint, calls: list[int]
) -> None:
    """Tasks that know nothing of each other cost as much as one of them."""
    found = await asyncio.gather(*(searcher.search(text, Terms(filled)) for text in TEXTS))
    assert [hits[0].text for hits in found] == TEXTS
    assert endpoint.stats()["requests"] == 1
    assert calls == [len(TEXTS)]


async def test_nothing_waits_for_company_unless_much_is_out(
    filled: str, ours: Settings, endpoint: FakeEndpoint
) -> None:
    """Searches one after the other are out at the same time; beyond a limit they go together."""
    impatient = make_embedder(ours.model_copy(update={"embedding_timeout_seconds": 3.0}))
    searcher = Searcher(ours, impatient)
    endpoint.faults(hang_requests=IN_FLIGHT)
    first = []
    for number in range(IN_FLIGHT):
        first.append(asyncio.create_task(searcher.search(TEXTS[number], Terms(filled))))
        await _seen(endpoint, number + 1)
    assert not any(task.done() for task in first)
    rest = []
    for text in TEXTS[10:20]:
        rest.append(asyncio.create_task(searcher.search(text, Terms(filled))))
        await asyncio.sleep(0.01)
    found = await asyncio.gather(*rest)
    assert [hits[0].text for hits in found] == TEXTS[10:20]
    assert endpoint.stats()["requests"] == IN_FLIGHT + 1
    hung = await asyncio.gather(*first, return_exceptions=True)
    assert [type(error) for error in hung] == [TimedOutError] * IN_FLIGHT
    await searcher.aclose()
    await impatient.aclose()


async def _seen(endpoint: FakeEndpoint, requests: int) -> None:
    # The endpoint tells of itself only when asked.
    while await asyncio.to_thread(lambda: endpoint.stats()["requests"]) < requests:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_more_than_fits_goes_in_several_requests(
    filled: str, ours: Settings, embedder: Embedder, endpoint: FakeEndpoint, calls: list[int]
) -> None:
    """No request is larger than a batch of documents may be, and no answer than gRPC allows."""
    few = Searcher(ours.model_copy(update={"batch_max_chunks": 16}), embedder)
    found = await few.search_many(TEXTS, Terms(filled, limit=100))
    await few.aclose()
    assert [hits[0].text for hits in found] == TEXTS
    assert {len(hits) for hits in found} == {len(TEXTS)}
    assert endpoint.stats()["requests"] == 3
    assert sorted(calls) == [6, 6, 8, 10, 10]


async def test_other_terms_share_the_model_and_keep_their_own_hits(
    filled: str, searcher: Searcher, endpoint: FakeEndpoint, calls: list[int]
) -> None:
    """Filters and limits do not mix."""
    plain, few, filtered = await asyncio.gather(
        searcher.search(TEXTS[3], Terms(filled, limit=4)),
        searcher.search(TEXTS[3], Terms(filled, limit=1)),
        searcher.search(TEXTS[3], Terms(filled, expression="ordinal in [7, 8]")),
    )
    assert [len(plain), len(few)] == [4, 1]
    assert plain[0].text == few[0].text == TEXTS[3]
    assert sorted(hit.text for hit in filtered) == [TEXTS[7], TEXTS[8]]
    assert (endpoint.stats()["requests"], endpoint.stats()["texts"]) == (1, 1)
    assert calls == [1, 1, 1]


async def test_a_refused_text_fails_alone(
    filled: str, searcher: Searcher, endpoint: FakeEndpoint
) -> None:
    """One that the model refuses does not take those with it that happen to share its request."""
    endpoint.faults(refuse_marker="number 13 ")
    found = await asyncio.gather(
        *(searcher.search(text, Terms(filled)) for text in TEXTS), return_exceptions=True
    )
    for text, hits in zip(TEXTS, found, strict=True):
        if "number 13 " in text:
            assert isinstance(hits, UsageError)
        else:
            assert isinstance(hits, list)
            assert hits[0].text == text
    with pytest.raises(UsageError):
        await searcher.search_many(TEXTS, Terms(filled))


async def test_wrong_terms_fail_alone(filled: str, searcher: Searcher) -> None:
    """A collection that is not there and a filter that can't be read concern who named them."""
    missing, broken, good = await asyncio.gather(
        searcher.search(TEXTS[0], Terms("nothing")),
        searcher.search(TEXTS[0], Terms(filled, expression="ordinal ==== ")),
        searcher.search(TEXTS[0], Terms(filled)),
        return_exceptions=True,
    )
    assert isinstance(missing, UsageError)
    assert "no collection 'nothing' yet" in str(missing)
    assert isinstance(broken, UsageError)
    assert isinstance(good, list)
    assert good[0].text == TEXTS[0]


async def test_who_gives_up_does_not_disturb_the_others(
    filled: str, searcher: Searcher, endpoint: FakeEndpoint
) -> None:
    """A cancelled search is left out, or forgotten; its neighbours are answered."""
    tasks = [asyncio.create_task(searcher.search(text, Terms(filled))) for text in TEXTS]
    await asyncio.sleep(0)
    tasks[1].cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[1], asyncio.CancelledError)
    assert all(isinstance(hits, list) for hits in [found[0], *found[2:]])
    assert endpoint.stats()["texts"] == len(TEXTS) - 1
    endpoint.faults(latency_seconds=0.5)
    tasks = [asyncio.create_task(searcher.search(text, Terms(filled))) for text in TEXTS]
    await _seen(endpoint, 2)
    tasks[1].cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(hits, list) for hits in [found[0], *found[2:]])


async def test_servers_that_are_away_are_told_to_all(
    filled: str, ours: Settings, embedder: Embedder, searcher: Searcher, endpoint: FakeEndpoint
) -> None:
    """Whoever waits hears of it, and the same searcher works once the server is back."""
    away = Searcher(
        ours.model_copy(update={"milvus_uri": f"http://127.0.0.1:{free_port()}"}), embedder
    )
    found = await asyncio.gather(
        *(away.search(text, Terms(filled)) for text in TEXTS[:3]), return_exceptions=True
    )
    assert [type(error) for error in found] == [UnreachableError] * 3
    await away.aclose()
    endpoint.faults(drop_requests=1)
    with pytest.raises(UnreachableError):
        await searcher.search_many(TEXTS, Terms(filled))
    (hits,) = await searcher.search_many(TEXTS[:1], Terms(filled))
    assert hits[0].text == TEXTS[0]


async def test_closing_ends_what_waits(
    filled: str, ours: Settings, embedder: Embedder, endpoint: FakeEndpoint
) -> None:
    """Nobody waits for ever for a searcher that is closed."""
    endpoint.faults(hang_requests=1)
    closing = Searcher(ours, embedder)
    task = asyncio.create_task(closing.search(TEXTS[0], Terms(filled)))
    await _seen(endpoint, 1)
    await closing.aclose()
    with pytest.raises(asyncio.CancelledError):
        await task
