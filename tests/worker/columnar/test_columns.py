"""Columns made of rows, against the message that pymilvus makes of the same rows."""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pymilvus import DataType, MilvusException
from pymilvus.client.prepare import Prepare

from tests.worker.columnar.odd import ODD, ODD_VECTORS, extras
from worker.columnar.columns import FieldNames, Rows, UnfitError, add_columns
from worker.columnar.layout import layout_of
from worker.columnar.wire import InsertRequest, UpsertRequest

NAMES = FieldNames("pk", "text", "vector")
SCALARS = {
    "flag": DataType.BOOL,
    "tiny": DataType.INT8,
    "small": DataType.INT16,
    "number": DataType.INT32,
    "year": DataType.INT64,
    "weight": DataType.FLOAT,
    "exact": DataType.DOUBLE,
    "source": DataType.VARCHAR,
}


def schema(*, dynamic: bool, **scalars: DataType) -> dict[str, Any]:
    """Describe a collection as pymilvus does."""
    types = {
        "pk": DataType.VARCHAR,
        "text": DataType.VARCHAR,
        **scalars,
        "vector": DataType.FLOAT_VECTOR,
    }
    return {
        "fields": [
            {"name": name, "type": kind, "params": {"dim": 2, "max_length": 50}}
            for name, kind in types.items()
        ],
        "enable_dynamic_field": dynamic,
        "update_timestamp": 7,
    }


def by_pymilvus(kind: type, rows: Rows, described: dict[str, Any]) -> bytes:
    """Give the message that pymilvus makes; it raises what it refuses rows with."""
    entities = [
        {"pk": pk, "text": text, "vector": vector, **metadata}
        for pk, text, metadata, vector in zip(
            rows.ids, rows.texts, rows.metadatas, rows.vectors, strict=True
        )
    ]
    make = Prepare.row_insert_param if kind is InsertRequest else Prepare.row_upsert_param
    request = make(
        "mill",
        entities,
        "",
        described["fields"],
        [],
        enable_dynamic=described["enable_dynamic_field"],
        schema_timestamp=described["update_timestamp"],
    )
    return bytes(request.SerializeToString(deterministic=True))


def by_columns(kind: type, rows: Rows, described: dict[str, Any]) -> bytes:
    """Give the message made by columns."""
    layout = layout_of(described)
    assert layout is not None
    request = kind(collection_name="mill", num_rows=len(rows), schema_timestamp=layout.timestamp)
    add_columns(request, rows, layout, NAMES)
    return bytes(request.SerializeToString(deterministic=True))


def compared(rows: Rows, described: dict[str, Any]) -> bool:
    """Hold that columns say the same as pymilvus, or nothing; tell which."""
    for kind in (InsertRequest, UpsertRequest):
        try:
            ours = by_columns(kind, rows, described)
        except UnfitError:
            return False
        assert ours == by_pymilvus(kind, rows, described)
    return True


fitting = st.fixed_dictionaries(
    {
        "flag": st.booleans(),
        "tiny": st.integers(-128, 127),
        "small": st.integers(-(2**15), 2**15 - 1),
        "number": st.integers(-(2**31), 2**31 - 1),
        "year": st.integers(-(2**63), 2**63 - 1),
        "weight": st.floats() | st.integers(-9, 9),
        "exact": st.floats(),
        "source": st.text(),
    }
)


@st.composite
def plain_rows(draw: st.DrawFn) -> Rows:
    """Draw rows that every way takes."""
    count, dimension = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    floats = st.lists(st.floats(width=32), min_size=dimension, max_size=dimension)
    listed = draw(st.lists(floats, min_size=count, max_size=count))
    form = draw(st.sampled_from(["lists", "float32", "float64", "arrays", "columns first"]))
    vectors: Any = listed
    if form in {"float32", "float64"}:
        vectors = np.array(listed, form)
    elif form == "arrays":
        vectors = [np.array(row, np.float32) for row in listed]
    elif form == "columns first":
        vectors = np.asfortranarray(np.array(listed, np.float32))
    return Rows(
        ids=[str(at) for at in range(count)],
        texts=draw(st.lists(st.text(), min_size=count, max_size=count)),
        metadatas=[draw(fitting) | draw(extras) for _ in range(count)],
        vectors=vectors,
    )


@given(plain_rows())
@settings(deadline=None)
def test_ordinary_rows_make_the_same_message(rows: Rows) -> None:
    """All types, any text, any JSON, empty values: byte for byte what pymilvus sends."""
    assert compared(rows, schema(dynamic=True, **SCALARS))


@given(
    st.sampled_from([*SCALARS, "pk", "text", "vector", "$meta", "extra"]),
    st.sampled_from(ODD),
    st.booleans(),
)
@settings(deadline=None, max_examples=1_000)
@example("source", b"grain", True)  # noqa: FBT003
def test_what_is_taken_is_what_pymilvus_takes(name: str, odd: Any, dynamic: bool) -> None:  # noqa: FBT001
    """A value of any type in any field: the same message, or the decision is left to pymilvus."""
    plain = dict(zip(SCALARS, [True, 1, 1, 1, 1, 1.0, 1.0, "x"], strict=True))
    rows = Rows(["a", "b"], ["c", "d"], [plain, plain | {name: odd}], np.eye(2))
    compared(rows, schema(dynamic=dynamic, **SCALARS))


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: str(type(odd)))
def test_ids_and_texts_of_any_type(odd: Any) -> None:
    """The same for what stands where an id or a text should."""
    compared(Rows(["a", odd], ["c", "d"], [{}, {}], np.eye(2)), schema(dynamic=True))
    compared(Rows(["a", "b"], ["c", odd], [{}, {}], np.eye(2)), schema(dynamic=True))


@given(st.lists(st.sampled_from(ODD_VECTORS), min_size=1, max_size=3))
@settings(deadline=None, max_examples=1_000)
def test_vectors_of_any_kind(vectors: list[Any]) -> None:
    """Vectors are the same to the bit, or left to pymilvus."""
    count = len(vectors)
    rows = Rows([str(at) for at in range(count)], ["x"] * count, [{}] * count, vectors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy has its opinion of complex numbers
        compared(rows, schema(dynamic=True))
        compared(rows[:1], schema(dynamic=False))


@pytest.mark.parametrize("odd", ODD_VECTORS, ids=lambda odd: str(type(odd)))
def test_each_kind_of_vector_alone(odd: Any) -> None:
    """Also where nothing else is among them."""
    compared(Rows(["a", "b"], ["x", "y"], [{}, {}], [odd, odd]), schema(dynamic=True))


@pytest.mark.parametrize("dimension", [1, 31, 32, 33, 4_095, 4_096, 4_097, 600_000])
def test_arrays_of_any_size(dimension: int) -> None:
    """The length of the block is written right, where it takes a byte more as well."""
    array = np.random.default_rng(0).random((1, dimension), np.float32)
    assert compared(Rows(["a"], ["x"], [{}], array), schema(dynamic=False))


def test_fields_that_the_store_does_not_know() -> None:
    """A store without a dynamic field drops what it did not find when it was opened."""
    described = schema(dynamic=False, year=DataType.INT64, source=DataType.VARCHAR)
    layout = layout_of(described)
    assert layout is not None
    rows = Rows(["a"], ["x"], [{"year": 1, "source": "books", "more": 1}], np.eye(1, 2))
    add_columns(UpsertRequest(), rows, layout, NAMES, {"pk", "text", "vector", "year", "source"})
    with pytest.raises(UnfitError):
        add_columns(UpsertRequest(), rows, layout, NAMES, {"pk", "text", "vector", "year"})


def test_what_does_not_belong_together_is_left_to_pymilvus() -> None:
    """Missing and unknown fields, and lists of several lengths, are no columns."""
    described = schema(dynamic=False, year=DataType.INT64)
    vectors = np.eye(2)
    for rows in (
        Rows(["a", "b"], ["x", "y"], [{"year": 1}, {}], vectors),
        Rows(["a", "b"], ["x", "y"], [{"year": 1}, {"year": 1, "more": 2}], vectors),
        Rows(["a"], ["x", "y"], [{"year": 1}, {"year": 1}], vectors),
        Rows(["a", "b"], ["x", "y"], [{"year": 1}], vectors),
        Rows(["a", "b"], ["x", "y"], [{"year": 1}, {"year": 1}], np.eye(3, 2)),
    ):
        with pytest.raises(UnfitError):
            by_columns(UpsertRequest, rows, described)
    assert by_columns(UpsertRequest, Rows(["a"], ["x"], [{"year": 1}], vectors[:1]), described)


def test_what_is_left_to_pymilvus_is_refused_there() -> None:
    """The odd values above are odd: most of them are errors of pymilvus."""
    plain = {"year": 1}
    refused = 0
    for odd in ODD:
        rows = Rows(["a"], ["c"], [plain | {"year": odd}], np.eye(1, 2))
        try:
            by_pymilvus(UpsertRequest, rows, schema(dynamic=True, year=DataType.INT64))
        except (MilvusException, OverflowError):
            refused += 1
    assert refused > len(ODD) / 2
