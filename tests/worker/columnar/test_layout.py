"""Which schemas are written by columns."""

from typing import Any

import pytest
from pymilvus import DataType

from worker.columnar.layout import SLOTS, layout_of

KEY = {"name": "pk", "type": DataType.VARCHAR, "is_primary": True}
VECTOR = {"name": "vector", "type": DataType.FLOAT_VECTOR}


def test_every_type_that_is_served() -> None:
    """Fields keep the schema's order; whether it is dynamic, and since when, is known."""
    more = [{"name": kind.name, "type": kind, "auto_id": False} for kind in SLOTS]
    layout = layout_of(
        {"fields": [KEY, VECTOR, *more], "enable_dynamic_field": True, "update_timestamp": 9}
    )
    assert layout is not None
    assert [field.name for field in layout.fields] == ["pk", "vector", *(k.name for k in SLOTS)]
    assert layout.names == {"pk", "vector", *(kind.name for kind in SLOTS)}
    assert (layout.vector_field, layout.is_dynamic, layout.timestamp) == ("vector", True, 9)


OTHER_TYPES = [kind for kind in DataType if kind not in {*SLOTS, DataType.FLOAT_VECTOR}]


@pytest.mark.parametrize("kind", OTHER_TYPES, ids=lambda kind: str(kind.name))
def test_types_that_are_not_served(kind: DataType) -> None:
    """Among them vectors that are sparse or of fewer bits."""
    assert layout_of({"fields": [KEY, VECTOR, {"name": "more", "type": kind}]}) is None


@pytest.mark.parametrize(
    "trait",
    [
        {"nullable": True},
        {"default_value": 0},
        {"is_function_output": True},
        {"is_dynamic": True},
        {"auto_id": True},
    ],
    ids=str,
)
def test_fields_that_rows_need_not_have(trait: dict[str, Any]) -> None:
    """What the server may fill is not served."""
    more = {"name": "more", "type": DataType.INT64}
    assert layout_of({"fields": [KEY, VECTOR, more]}) is not None
    assert layout_of({"fields": [KEY, VECTOR, more | trait]}) is None


def test_other_numbers_of_vectors() -> None:
    """None, two, and those in structures are not served."""
    assert layout_of({"fields": [KEY]}) is None
    assert layout_of({"fields": [KEY, VECTOR, VECTOR | {"name": "other"}]}) is None
    structures = [{"name": "more", "fields": [VECTOR]}]
    assert layout_of({"fields": [KEY, VECTOR], "struct_array_fields": structures}) is None
