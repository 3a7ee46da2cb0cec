"""Which columns a collection takes, if it is one that can be written by columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymilvus import DataType

SLOTS = {
    DataType.BOOL: "bool_data",
    DataType.INT8: "int_data",
    DataType.INT16: "int_data",
    DataType.INT32: "int_data",
    DataType.INT64: "long_data",
    DataType.FLOAT: "float_data",
    DataType.DOUBLE: "double_data",
    DataType.VARCHAR: "string_data",
}
"""Where the protocol keeps the values of a field that is no vector."""

_NOT_GIVEN = ("auto_id", "nullable", "is_function_output", "is_dynamic")
"""Traits of fields that the server fills, or may."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field that every row has."""

    name: str
    type: DataType


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a collection.

    Attributes:
        fields: in the schema's order.
        names: of all fields.
        vector_field: name of the one whose type is no key of ``SLOTS``, but FLOAT_VECTOR.
        is_dynamic: whether keys that are no fields are kept.
        timestamp: of the schema's last change; the server compares it.
    """

    fields: tuple[Field, ...]
    names: frozenset[str]
    vector_field: str
    is_dynamic: bool
    timestamp: int


def layout_of(schema: Mapping[str, Any]) -> Layout | None:
    """Read a schema as pymilvus describes it.

    Returns:
        None where columns do not serve: not exactly one field of 32-bit float vectors; fields
        that the server may fill (ids, functions, nulls, defaults), or of another type than
        numbers, truth values and VARCHAR.
    """
    fields = tuple(Field(field["name"], field["type"]) for field in schema["fields"])
    vectors = [field.name for field in fields if field.type == DataType.FLOAT_VECTOR]
    if (
        len(vectors) != 1
        or any(field.type not in SLOTS for field in fields if field.name not in vectors)
        or any(field.get(trait) for field in schema["fields"] for trait in _NOT_GIVEN)
        or any(field.get("default_value") is not None for field in schema["fields"])
        or schema.get("struct_array_fields")
    ):
        return None
    return Layout(
        fields,
        frozenset(field.name for field in fields),
        vectors[0],
        is_dynamic=bool(schema.get("enable_dynamic_field")),
        timestamp=schema.get("update_timestamp", 0),
    )
