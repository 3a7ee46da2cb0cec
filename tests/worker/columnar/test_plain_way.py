"""What columns do not serve goes the plain class's way: the same rows, and nothing by columns."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_milvus import BM25BuiltInFunction
from langchain_milvus.utils.sparse import BaseSparseEmbedding
from pymilvus import DataType, MilvusClient

from tests.worker.columnar.conftest import Open
from tests.worker.columnar.twins import DIMENSION, PLAIN, Embedding, Twins, schema_of

DYNAMIC = {"enable_dynamic_field": True}


async def assert_plain(twins: Twins, sent: list[Any], *metadatas: Any, **options: Any) -> None:
    """Write in every way, and hold that both have the same rows, none of them by columns."""
    found = [Document(page_content=f"text {at}", metadata=m) for at, m in enumerate(metadatas)]
    ids = [str(at) for at in range(len(found))]
    for _ in range(2):
        plain, columnar = await twins.do(lambda store: store.aupsert(ids, found, **options))
        assert plain is columnar is None, (plain, columnar)
    if "partial_update" not in options:
        more = [f"more {key}" for key in ids]
        plain, columnar = await twins.do(
            lambda store: store.aadd_documents(found, ids=more, **options)
        )
        assert columnar == plain
        assert len(plain) == len(more)
    twins.assert_alike()
    assert twins.rows()[0]
    assert sent == []


SCHEMAS: dict[str, Callable[[], Any]] = {
    "JSON": lambda: schema_of(more={"datatype": DataType.JSON}),
    "array": lambda: schema_of(
        more={"datatype": DataType.ARRAY, "element_type": DataType.INT64, "max_capacity": 9}
    ),
}
MORE = {"JSON": {"deep": [1, None]}, "array": [1, 2]}


@pytest.mark.parametrize("case", SCHEMAS)
async def test_fields_that_are_no_columns(open_twins: Open, sent: list[Any], case: str) -> None:
    """JSON and arrays as fields of the schema."""
    twins = await open_twins(SCHEMAS[case](), **DYNAMIC)
    await assert_plain(twins, sent, {**PLAIN, "more": MORE[case]}, {**PLAIN, "more": MORE[case]})


@pytest.mark.parametrize("milvus_uri", ["lite"], indirect=True)
@pytest.mark.parametrize("trait", [{"nullable": True}, {"default_value": "none"}])
async def test_fields_that_may_be_missing(
    open_twins: Open, sent: list[Any], trait: dict[str, Any]
) -> None:
    """Nulls and defaults; the real server of these tests has none."""
    field = {"datatype": DataType.VARCHAR, "max_length": 10, **trait}
    twins = await open_twins(schema_of(more=field), **DYNAMIC)
    await assert_plain(twins, sent, {**PLAIN, "more": "x"}, PLAIN, {**PLAIN, "more": None})


async def test_ids_of_the_server(open_twins: Open, sent: list[Any]) -> None:
    """Ids that the server gives."""
    twins = await open_twins(None, auto_id=True)
    found = [Document(page_content=f"text {at}", metadata={"year": at}) for at in range(3)]
    for _ in range(2):
        for ids in await twins.do(lambda store: store.aadd_documents(found)):
            assert len(ids) == 3
    for ids in await twins.do(lambda store: store.aadd_documents(found, ids=["1", "2", "3"])):
        assert len(ids) == 3
        assert "1" not in map(str, ids)
    array = np.ones((3, DIMENSION), np.float32)
    await twins.columnar.aadd_documents(found, embeddings=array)
    await twins.plain.aadd_embeddings(
        [each.page_content for each in found], array.tolist(), [each.metadata for each in found]
    )
    twins.assert_alike(12)
    assert sent == []


async def test_metadata_in_one_field(open_twins: Open, sent: list[Any]) -> None:
    """All metadata as JSON in a field of its own."""
    twins = await open_twins(None, metadata_field="about")
    found = [Document(page_content="x", metadata={"any": {"thing": 1}})]
    await twins.do(lambda store: store.aadd_documents(found, ids=["first"]))
    await assert_plain(twins, sent, {"a": 1}, {"b": [2]})


async def test_metadata_in_one_key(open_twins: Open, sent: list[Any]) -> None:
    """The same where the collection has no such field, but a dynamic one."""
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("pk", DataType.VARCHAR, is_primary=True, max_length=64)
    schema.add_field("text", DataType.VARCHAR, max_length=64)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
    twins = await open_twins(schema, metadata_field="about")
    await assert_plain(twins, sent, {"a": 1}, {"b": [2]})
    assert all("about" in row for row in twins.rows()[1])


@pytest.mark.parametrize("milvus_uri", ["lite"], indirect=True)
async def test_several_vectors(open_twins: Open, sent: list[Any]) -> None:
    """More than one field of vectors; the real server of these tests takes one."""
    twins = await open_twins(
        None, embedding_function=[Embedding(), Embedding()], vector_field=["one", "other"]
    )
    found = [Document(page_content="x", metadata={"year": 1})]
    await twins.do(lambda store: store.aadd_documents(found, ids=["first"]))
    pair = [[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]]
    await twins.do(lambda store: store.aadd_embeddings(["y"], pair, [{"year": 2}], ids=["second"]))
    await twins.columnar.aupsert(["third"], found, embeddings=np.array(pair, np.float32))
    await twins.plain.aadd_embeddings(["x"], pair, [{"year": 1}], ids=["third"])
    await assert_plain(twins, sent, {"year": 1}, {"year": 2})


class Counting(BaseSparseEmbedding):
    """A sparse vector of a text's length."""

    def embed_documents(self, texts: list[str]) -> list[dict[int, float]]:
        """Make one place of each text."""
        return [{len(text): 1.0} for text in texts]

    def embed_query(self, query: str) -> dict[int, float]:
        """Make one place of a text."""
        return {len(query): 1.0}


SPARSE_INDEX = {"index_type": "SPARSE_INVERTED_INDEX", "metric_type": "IP", "params": {}}


@pytest.mark.parametrize("milvus_uri", ["lite"], indirect=True)
async def test_sparse_vectors(open_twins: Open, sent: list[Any]) -> None:
    """Sparse vectors; the real server of these tests has none."""
    twins = await open_twins(None, embedding_function=Counting(), index_params=SPARSE_INDEX)
    found = [Document(page_content="x", metadata={"year": 1})]
    await twins.do(lambda store: store.aadd_documents(found, ids=["first"]))
    await assert_plain(twins, sent, {"year": 1}, {"year": 2})


@pytest.mark.parametrize("milvus_uri", ["lite"], indirect=True)
async def test_functions_of_the_server(open_twins: Open, sent: list[Any]) -> None:
    """A vector that the server makes of the text (BM25) beside one of ours."""
    twins = await open_twins(
        None,
        builtin_function=BM25BuiltInFunction(output_field_names="words"),
        vector_field=["vector", "words"],
        index_params=[
            {"index_type": "FLAT", "metric_type": "L2"},
            {**SPARSE_INDEX, "metric_type": "BM25"},
        ],
    )
    found = [Document(page_content="x", metadata={"year": 1})]
    await twins.do(lambda store: store.aadd_documents(found, ids=["first"]))
    await assert_plain(twins, sent, {"year": 1}, {"year": 2})


@pytest.mark.parametrize("milvus_uri", ["lite"], indirect=True)
async def test_nothing_but_functions_of_the_server(open_twins: Open, sent: list[Any]) -> None:
    """Texts alone, of which the server makes vectors."""
    twins = await open_twins(
        None,
        embedding_function=None,
        builtin_function=BM25BuiltInFunction(output_field_names="words"),
        vector_field="words",
        index_params={**SPARSE_INDEX, "metric_type": "BM25"},
    )
    found = [Document(page_content="x", metadata={"year": 1})]
    await twins.do(lambda store: store.aadd_documents(found, ids=["first"]))
    await assert_plain(twins, sent, {"year": 1}, {"year": 2})


@pytest.mark.parametrize(
    "odd",
    [
        {"text": "theirs"},
        {"pk": "theirs"},
        {"vector": [9.0] * DIMENSION},
        {"year": np.int32(7), "source": np.str_("theirs")},
        {"more": np.float32(0.5), "deep": {"array": np.arange(2)}},
    ],
    ids=str,
)
async def test_metadata_that_is_no_column(
    twins: Twins, sent: list[Any], odd: dict[str, Any]
) -> None:
    """Metadata that takes the place of id, text or vector, and values of NumPy's types."""
    await assert_plain(twins, sent, {**PLAIN, **odd})


@pytest.mark.parametrize("milvus_uri", ["lite"], indirect=True)
async def test_partial_updates(twins: Twins, sent: list[Any]) -> None:
    """What changes the meaning of a write; the real server of these tests has none of it."""
    await assert_plain(twins, sent, PLAIN, partial_update=True)


async def test_a_partition_is_no_reason(twins: Twins, sent: list[Any]) -> None:
    """A partition by name is served by columns."""
    for store in (twins.plain, twins.columnar):
        await store.aclient.create_partition(store.collection_name, "attic")
    found = [Document(page_content="x", metadata=PLAIN)]
    await twins.do(lambda store: store.aupsert(["a"], found, partition_name="attic"))
    await twins.do(lambda store: store.aadd_documents(found, ids=["b"], partition_name="attic"))
    await twins.do(lambda store: store.aupsert(["c"], found))
    for store in (twins.plain, twins.columnar):
        rows = await store.aclient.query(
            store.collection_name,
            filter="pk >= ''",
            partition_names=["attic"],
            consistency_level="Strong",
        )
        assert sorted(row["pk"] for row in rows) == ["a", "b"]
    assert len(sent) == 3
