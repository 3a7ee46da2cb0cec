"""The columnar store beside the plain one, on both servers."""

import asyncio
import itertools
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from pymilvus import MilvusException
from pymilvus.client.async_grpc_handler import AsyncGrpcHandler
from pymilvus.exceptions import DataNotMatchException
from pymilvus.grpc_gen.common_pb2 import SchemaMismatch

import worker.columnar.milvus
from tests.worker.columnar.conftest import Open
from tests.worker.columnar.odd import ODD, extras
from tests.worker.columnar.twins import DIMENSION, PLAIN, Embedding, Twins, schema_of

_numbers = itertools.count()


def document(text: str = "grain", **metadata: Any) -> Document:
    """Make a document that fits the schema."""
    return Document(page_content=text, metadata={**PLAIN, **metadata})


async def put(found: list[Document], key: str, store: Any) -> Any:
    """Write one document."""
    return await store.aupsert([key], found)


async def added(found: list[Document], key: str, store: Any) -> Any:
    """Insert one document."""
    return await store.aadd_documents(found, ids=[key])


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "flag": st.booleans(),
    "tiny": st.integers(-128, 127),
    "number": st.integers(-(2**31), 2**31 - 1),
    "year": st.integers(-(2**63), 2**63 - 1),
    "weight": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "exact": st.floats(allow_nan=False, allow_infinity=False),
    "source": st.text(max_size=25),
}
odd_metadata = st.dictionaries(
    st.sampled_from([*VALUES, "pk", "text", "vector", "$meta", "more"]),
    st.sampled_from(ODD),
    max_size=1,
)
documents = st.builds(
    lambda text, plain, more, odd: Document(page_content=text, metadata=plain | more | odd),
    st.text(max_size=250),
    st.fixed_dictionaries(VALUES),
    extras,
    st.just({}) | odd_metadata,
)


@given(st.lists(st.tuples(st.integers(0, 20), documents), min_size=1, max_size=5), st.booleans())
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_any_documents(
    twins: Twins,
    drawn: list[tuple[int, Document]],
    upsert: bool,  # noqa: FBT001
) -> None:
    """Any text and metadata, also of wrong types: the same ids or error, the same rows."""
    found = [each for _, each in drawn]
    if upsert:  # over rows of earlier examples
        ids = [f"{key}" for key, _ in drawn]
        plain, columnar = await twins.do(lambda store: store.aupsert(ids=ids, documents=found))
    else:  # a server keeps both rows of an id that is inserted twice
        ids = [f"new {next(_numbers)}" for _ in drawn]
        plain, columnar = await twins.do(lambda store: store.aadd_documents(found, ids=ids))
    assert columnar == plain
    twins.assert_alike()


async def test_vectors_may_come_as_an_array(twins: Twins, sent: list[Any]) -> None:
    """With the call or from the embedding function: rows of the plain class with lists."""
    texts = [f"text {'x' * at}" for at in range(9)]
    found = [document(text) for text in texts]
    metadatas = [each.metadata for each in found]
    lists = Embedding().embed_documents(texts)
    array = np.array(lists, np.float32)
    ids = [[f"{way}{at}" for at in range(9)] for way in "abcdef"]
    plain, columnar = twins.plain, twins.columnar
    for some in (*ids[:3], ids[5]):
        assert await plain.aadd_embeddings(texts, lists, metadatas, ids=some) == some
    for some in ids[3:5]:
        await plain.aupsert(ids=some, documents=found)
    assert await columnar.aadd_documents(found, embeddings=array, ids=ids[0]) == ids[0]
    assert await columnar.aadd_embeddings(texts, array, metadatas, ids=ids[1]) == ids[1]
    assert await columnar.aadd_embeddings(texts, list(array), metadatas, ids=ids[2]) == ids[2]
    await columnar.aupsert(ids=ids[3], documents=found, embeddings=array.astype(np.float64))
    columnar.embedding_func = Embedding(as_array=True)
    await columnar.aupsert(ids=ids[4], documents=found)
    assert await columnar.aadd_documents(found, ids=ids[5]) == ids[5]
    assert len(sent) == 6
    twins.assert_alike(54)


class OneByOne(Embedding):
    """Embeds queries only, as some functions do."""

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Leave it to the other way."""
        raise NotImplementedError


async def test_texts_embedded_one_by_one(twins: Twins, sent: list[Any]) -> None:
    """A function without a way for many texts is asked for each."""
    for store in (twins.plain, twins.columnar):
        store.embedding_func = OneByOne()
    found = [document("one"), document("another")]
    await twins.do(lambda store: store.aupsert(["a", "b"], found))
    twins.assert_alike(2)
    assert len(sent) == 1


async def test_batches(twins: Twins, sent: list[Any]) -> None:
    """A batch is a request; all ids come back, in order."""
    found = [document(f"text {at}") for at in range(25)]
    ids = [f"{at:02}" for at in range(25)]
    array = np.ones((25, DIMENSION), np.float32)
    assert (
        await twins.columnar.aadd_documents(found, embeddings=array, ids=ids, batch_size=10) == ids
    )
    await twins.columnar.aupsert(ids, found, 7, embeddings=array)
    assert [each.num_rows for each in sent] == [10, 10, 5, 7, 7, 7, 4]


async def test_a_large_batch_is_sent_in_several(
    twins: Twins, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No message is larger than the limit, as long as a row is not; all rows arrive, in order."""
    monkeypatch.setattr(worker.columnar.milvus, "MESSAGE_BYTES", 4_000)
    found = [document("x" * 500 if at else "x" * 1_000) for at in range(20)]
    ids = [f"{at:02}" for at in range(20)]
    assert await twins.columnar.aadd_documents(found, ids=ids) == ids
    assert max(each.ByteSize() for each in sent) <= 4_000
    assert sum(each.num_rows for each in sent) == 20
    monkeypatch.setattr(worker.columnar.milvus, "MESSAGE_BYTES", 1)
    await twins.columnar.aupsert(ids, found)
    assert [each.num_rows for each in sent[-20:]] == [1] * 20
    await twins.plain.aadd_documents(found, ids=ids)
    twins.assert_alike(20)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give what the asynchronous clients ask before they write."""
    asked: list[str] = []
    for name in ("describe_collection", "has_collection"):
        whole = getattr(AsyncGrpcHandler, name)

        async def listening(*args: Any, name: str = name, whole: Any = whole, **more: Any) -> Any:
            asked.append(name)
            return await whole(*args, **more)

        monkeypatch.setattr(AsyncGrpcHandler, name, listening)
    return asked


async def test_nothing_is_asked_before_a_write(twins: Twins, asked: list[str]) -> None:
    """The schema is read once; whether the collection is there is never asked."""
    for at in range(5):
        await twins.columnar.aadd_documents([document()], ids=[f"a{at}"])
        await twins.columnar.aupsert(ids=[f"b{at}"], documents=[document()])
    assert len(asked) <= 1
    await twins.plain.aadd_documents([document()], ids=["c"])
    assert "has_collection" in asked  # the ears are open


async def test_errors_are_those_of_the_plain_class(twins: Twins) -> None:
    """Refused on the way or by the server: the same type and code, and nothing is written."""
    found = [document("good"), document("bad")]
    calls: list[Any] = [
        lambda store: store.aupsert(ids=["a", "a"], documents=found),
        lambda store: store.aupsert(ids=["a"], documents=found),
        lambda store: store.aadd_documents(found, ids=["a"]),
        lambda store: store.aadd_embeddings(["x", "y"], [[1.0] * 4], [PLAIN] * 2, ids=["a", "b"]),
        lambda store: store.aadd_embeddings(["x", "y"], [[1.0] * 4] * 2, [PLAIN], ids=["a", "b"]),
        lambda store: store.aadd_embeddings(["x"], [[1.0] * 4], [None], ids=["a"]),
        lambda store: store.aadd_embeddings(["x"], [[1.0] * 4], [PLAIN]),
        lambda store: store.aadd_embeddings(["x"], [[1.0] * 4], ids=["a"]),
        lambda store: store.aadd_embeddings(["x"], [[1.0] * 3], [PLAIN], ids=["a"]),
        lambda store: store.aadd_embeddings(["x"], [[1.0] * 8], [PLAIN], ids=["a"]),
        lambda store: store.aadd_embeddings(["x"], [[1.0, "x", 1.0, 1.0]], [PLAIN], ids=["a"]),
        lambda store: store.aadd_embeddings(["x"], [np.arange(4)], [PLAIN], ids=["a"]),
        lambda store: store.aupsert(ids=["a"], documents=[document("x" * 1_001)]),
        lambda store: store.aupsert(ids=["a"], documents=[document(source="x" * 101)]),
        lambda store: store.aupsert(ids=["a"], documents=[document()], partition_name="none"),
        lambda store: store.aupsert(ids=["a"], documents=[document()], retry_times="x"),
    ]
    for number, call in enumerate(calls[:-1]):
        plain, columnar = await twins.do(call)
        assert columnar == plain, number
        assert isinstance(plain, tuple), number
    twins.assert_alike(0)
    plain, columnar = await twins.do(calls[-1])
    assert plain == columnar is None
    twins.assert_alike(1)


async def test_nothing_to_write_is_no_error(twins: Twins) -> None:
    """No documents: no ids, no request."""
    for call in (
        lambda store: store.aupsert(),
        lambda store: store.aupsert(ids=[], documents=[]),
        lambda store: store.aadd_documents([], ids=[]),
        lambda store: store.aadd_embeddings([], [], []),
    ):
        plain, columnar = await twins.do(call)
        assert columnar == plain
        assert not plain


async def test_given_vectors_must_match(twins: Twins) -> None:
    """Vectors of another number than the documents are refused, and ids are needed."""
    array = np.ones((3, DIMENSION), np.float32)
    two = [document(), document()]
    for call in (
        twins.columnar.aupsert(["a", "b"], two, embeddings=array),
        twins.columnar.aupsert(["a", "b"], two, 1, embeddings=array),
        twins.columnar.aadd_documents(two, embeddings=array, ids=["a", "b"]),
        twins.columnar.aadd_documents(two, embeddings=array[:2]),
        twins.columnar.aupsert(None, two, embeddings=array[:2]),
    ):
        with pytest.raises(AssertionError):
            await call
    twins.assert_alike(0)


async def test_a_schema_that_changed_is_read_anew(twins: Twins, sent: list[Any]) -> None:
    """A collection that was dropped and made anew with other fields takes rows, by columns."""
    store = twins.columnar
    await store.aupsert(ids=["a"], documents=[document()])
    await asyncio.to_thread(remade, twins, store.collection_name)
    fuller = document(added="news")
    for key in ("b", "c"):
        await store.aupsert(ids=[key], documents=[fuller])
    with pytest.raises(DataNotMatchException):
        await store.aupsert(ids=["d"], documents=[document()])
    assert [row["added"] for row in twins.rows()[1]] == ["news", "news"]
    assert len(sent) >= 2


def remade(twins: Twins, name: str) -> None:
    """Make a collection anew, with a field more."""
    other = schema_of(added={"datatype": 21, "max_length": 10})
    twins.client.drop_collection(name)
    index = twins.client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="L2")
    twins.client.create_collection(name, schema=other, index_params=index)


async def test_a_server_that_has_another_schema(
    twins: Twins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told so by the server, the store reads the schema anew, and writes."""
    client = twins.columnar.aclient
    handler = await client._get_connection()
    upsert = handler._async_stub.Upsert
    answers: list[int] = []

    async def refusing(request: Any, **more: Any) -> Any:
        response = await upsert(request, **more)
        answers.append(request.num_rows)
        if len(answers) == 1:
            response.status.error_code = SchemaMismatch
        return response

    monkeypatch.setattr(handler._async_stub, "Upsert", refusing)
    await twins.columnar.aupsert(ids=["a"], documents=[document()])
    assert answers == [1, 1]


async def test_a_collection_that_is_not_there(open_twins: Open) -> None:
    """An insert makes it, as the plain class does, also if it was dropped; an upsert does not."""
    twins = await open_twins(None)
    found = [Document(page_content="grain", metadata={"year": 1, "source": "books"})]
    plain, columnar = await twins.do(lambda store: store.aupsert(ids=["a"], documents=found))
    assert columnar == plain
    assert plain[1] == 100
    for key in ("b", "c"):
        plain, columnar = await twins.do(partial(added, found, key))
        assert columnar == plain == [key]
    twins.assert_alike(2)
    for store in (twins.plain, twins.columnar):
        await asyncio.to_thread(twins.client.drop_collection, store.collection_name)
    plain, columnar = await twins.do(lambda store: store.aupsert(ids=["d"], documents=found))
    assert columnar == plain
    assert isinstance(plain, tuple)
    plain, columnar = await twins.do(lambda store: store.aadd_documents(found, ids=["e"]))
    assert columnar == plain == ["e"]
    twins.assert_alike(1)


async def test_a_collection_is_made_without_an_error(open_twins: Open, asked: list[str]) -> None:
    """Whether it is there is asked, and its schema only then: pymilvus logs what fails."""
    twins = await open_twins(None)
    found = [Document(page_content="grain", metadata={"year": 1})]
    await twins.columnar.aadd_documents(found, ids=["a"])
    assert asked[0] == "has_collection"


async def test_a_store_without_a_dynamic_field(open_twins: Open, sent: list[Any]) -> None:
    """What the schema does not have is dropped; what it has must be there."""
    for dynamic in (False, True):
        twins = await open_twins(schema_of(dynamic=dynamic))
        found = [document(more="dropped")]
        plain, columnar = await twins.do(partial(put, found, "a"))
        assert plain == columnar is None
        bare = [Document(page_content="x", metadata={"year": 1})]
        plain, columnar = await twins.do(partial(put, bare, "b"))
        assert plain == columnar == (DataNotMatchException, 1)
        twins.assert_alike(1)
    assert len(sent) == 2
    twins = await open_twins(schema_of(dynamic=False), enable_dynamic_field=True)
    plain, columnar = await twins.do(lambda store: store.aupsert(["a"], [document(more=1)]))
    assert plain == columnar == (DataNotMatchException, 1)


async def test_what_was_written_is_seen(twins: Twins) -> None:
    """A read of consistency "Session" comes after the writes of its process."""
    for at in range(10):
        await twins.columnar.aupsert(ids=["a"], documents=[document(f"text {at}")])
        found = await twins.columnar.aclient.query(
            twins.columnar.collection_name,
            ids=["a"],
            output_fields=["text"],
            consistency_level="Session",
        )
        assert found[0]["text"] == f"text {at}"


async def test_no_answer(open_twins: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A time-out is the plain class's error of a time-out."""
    twins = await open_twins(schema_of(), enable_dynamic_field=True)
    await twins.do(lambda store: store.aupsert(["a"], [document()]))
    plain, columnar = await twins.do(
        lambda store: store.aupsert(["b"], [document()], timeout=0.000_001)
    )
    assert columnar == plain
    assert issubclass(plain[0], MilvusException)
