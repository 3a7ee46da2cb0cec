"""Rows turned into columns: byte for byte the message that pymilvus makes of the same rows.

Whatever is not plain to see is left to pymilvus' own way, which takes or refuses it. So nothing
is taken here that is refused there, and errors are those of pymilvus.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import orjson
from pymilvus import DataType

from worker.columnar.layout import SLOTS, Layout
from worker.columnar.vectors import Vectors, set_vectors
from worker.columnar.wire import DYNAMIC_FIELD_NAME, FieldData, InsertRequest, UpsertRequest


class UnfitError(Exception):
    """These rows can't be told by columns."""


@dataclass(frozen=True, slots=True)
class FieldNames:
    """The fields of what a document has besides its metadata."""

    primary: str
    text: str
    vector: str


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Documents on their way to Milvus, one at each place.

    Attributes:
        ids: primary keys.
        texts: of the documents.
        metadatas: of the documents.
        vectors: shape (documents, dimension).
    """

    ids: Sequence[Any]
    texts: Sequence[str]
    metadatas: Sequence[Mapping[str, Any]]
    vectors: Vectors

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def are_even(self) -> bool:
        """Whether each place has all four."""
        others = (self.ids, self.metadatas, self.vectors)
        return all(len(each) == len(self) for each in others) and all(
            isinstance(metadata, dict) for metadata in self.metadatas
        )

    def __getitem__(self, some: slice) -> "Rows":
        return Rows(self.ids[some], self.texts[some], self.metadatas[some], self.vectors[some])


def add_columns(
    request: InsertRequest | UpsertRequest,
    rows: Rows,
    layout: Layout,
    names: FieldNames,
    kept: AbstractSet[str] | None = None,
) -> None:
    """Add the columns of rows to a request, in the order of the layout's fields.

    Args:
        request: it is of no use after an error.
        rows: one or more.
        layout: of the collection.
        names: of the fields that are no metadata.
        kept: which keys of metadata are written; None means all.

    Raises:
        UnfitError: columns do not serve; see above.
    """
    given = {names.primary: rows.ids, names.text: rows.texts}
    # Metadata of these names would take their place.
    taken = {*given, names.vector, DYNAMIC_FIELD_NAME}
    if (
        not rows.are_even
        or layout.vector_field != names.vector
        or not given.keys() <= layout.names
        or not all(map(taken.isdisjoint, rows.metadatas))
        or (kept is not None and not layout.names - taken <= kept)
    ):
        raise UnfitError
    try:
        for field in layout.fields:
            column = request.fields_data.add(field_name=field.name, type=field.type)
            if field.name == names.vector:
                set_vectors(column.vectors, rows.vectors)
            else:
                values = given.get(field.name)
                if values is None:
                    values = [metadata[field.name] for metadata in rows.metadatas]
                _set_values(column, field.type, values)
        extras = [_extras(metadata, layout.names, kept) for metadata in rows.metadatas]
        if layout.is_dynamic:
            column = request.fields_data.add(
                field_name=DYNAMIC_FIELD_NAME, type=DataType.JSON, is_dynamic=True
            )
            column.scalars.json_data.data.extend(map(orjson.dumps, extras))
        elif any(extras):
            raise UnfitError
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UnfitError from error


def _set_values(column: FieldData, kind: DataType, values: Sequence[Any]) -> None:
    # Protobuf takes bytes for text, pymilvus does not; all else they judge alike.
    if kind == DataType.VARCHAR and set(map(type, values)) != {str}:
        raise UnfitError
    getattr(column.scalars, SLOTS[kind]).data.extend(values)


def _extras(
    metadata: Mapping[str, Any], fields: AbstractSet[str], kept: AbstractSet[str] | None
) -> dict[str, Any]:
    return {
        key: value
        for key, value in metadata.items()
        if key not in fields and (kept is None or key in kept)
    }
