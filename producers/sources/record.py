"""A record: one document of a stream, as someone hands it over. Pure."""

import math
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from contract.errors import DocumentError
from producers.document import Document, Entry, Omission, Piece, Reason, printable
from producers.splitting import MAX_PIECE_BYTES

FINGERPRINT: Final = "record-1"
MAX_ID_BYTES: Final = 1024
_FORMAT: Final = "text"
_FLOAT_BYTES: Final = 4
_TRUE: Final = frozenset({b"1", b"true"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Record:
    """A document of a stream, checked."""

    entry: Entry
    data: bytes
    """Its content in one stable form, for ``parse``; empty: the document is deleted."""


Read: TypeAlias = Record | Omission


class _Chunk(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    vector: list[float] | None = None
    start: int = 0
    headings: tuple[str, ...] = ()


class _Fields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a line or an entry may hold."""

    id: str | int
    text: str | None = None
    vector: list[float] | bytes | None = None
    chunks: list[_Chunk] | None = None
    metadata: dict[str, Any] | None = None
    deleted: bool = False


class _Name(msgspec.Struct):
    id: str | int


_Packed: TypeAlias = tuple[str, int, tuple[str, ...], bytes]
"""A piece: text, start, headings, vector."""


class _Content(msgspec.Struct, array_like=True):
    """What a version of a document is made of."""

    text: str
    pieces: tuple[_Packed, ...]
    metadata: dict[str, Any]


_lines = msgspec.json.Decoder(_Fields)
_names = msgspec.json.Decoder(_Name)
_packer = msgspec.msgpack.Encoder(order="deterministic")
_unpacker = msgspec.msgpack.Decoder(_Content)


class RecordReader:
    """Reads records, and says what is wrong with those that are not to be had."""

    def __init__(self, dimension: int, max_bytes: int) -> None:
        """Keep what is allowed.

        Args:
            dimension: of the vectors that a record may bring.
            max_bytes: most bytes of one document's text and metadata.
        """
        self._dimension = dimension
        self._max_bytes = max_bytes

    def line(self, line: bytes, place: str) -> Read:
        """Read a document in JSON.

        Args:
            line: ``{"id": ..., "text": ..., "metadata": {...}}``, with ``vector``, with
                ``chunks`` instead of ``text``, or with ``deleted``.
            place: where it stands, for people.

        Returns:
            An omission when there is something wrong; without a key where it has no id.
        """
        try:
            fields = _decoded(_lines.decode, line)
            return self._record(fields)
        except DocumentError as error:
            return _omission(_name_in(line), place, error)

    def fields(self, fields: Mapping[bytes, bytes], place: str) -> Read:
        """Read a document that stands in the fields of an entry.

        Args:
            fields: ``document`` with all of it in JSON; or ``id``, ``text``, ``metadata``,
                ``vector`` and ``chunks`` in JSON (a vector also as little-endian float32), and
                ``deleted`` as 1.
            place: where it stands, for people.

        Returns:
            As of ``line``.
        """
        document = fields.get(b"document")
        if document is not None:
            return self.line(document, place)
        name = fields.get(b"id", b"").decode(errors="replace")
        try:
            return self._record(_decoded(self._from_fields, fields))
        except DocumentError as error:
            return _omission(name, place, error)

    def _from_fields(self, fields: Mapping[bytes, bytes]) -> _Fields:
        given: dict[str, Any] = {}
        for key, value in fields.items():
            name = key.decode(errors="replace")
            if name in {"metadata", "chunks"} or (name == "vector" and not self._is_packed(value)):
                given[name] = msgspec.json.decode(value)
            elif name == "deleted":
                given[name] = value.lower() in _TRUE
            else:
                given[name] = value if name == "vector" else value.decode()
        return msgspec.convert(given, _Fields)

    def _is_packed(self, value: bytes) -> bool:
        return len(value) == self._dimension * _FLOAT_BYTES and value[:1] + value[-1:] != b"[]"

    def _record(self, fields: _Fields) -> Record:
        key = str(fields.id)
        key_bytes = key.encode(errors="surrogatepass")
        if not key or len(key_bytes) > MAX_ID_BYTES or "\0" in key:
            raise DocumentError(
                Reason.MALFORMED, f"its id is empty, has a zero or more than {MAX_ID_BYTES} bytes"
            )
        data = b"" if fields.deleted else self._packed(fields)
        entry = Entry(printable(key_bytes), key_bytes, None, len(data), 0)
        return Record(entry, data)

    def _packed(self, fields: _Fields) -> bytes:
        """Give the content in one stable form; nothing for a text without letters."""
        if (fields.text is None) == (fields.chunks is None):
            raise DocumentError(
                Reason.MALFORMED, 'it needs either a "text" or "chunks" (or "deleted": true)'
            )
        text = (fields.text or "").replace("\0", "")
        pieces: list[_Packed] = []
        if fields.vector is not None:
            if fields.text is None:
                raise DocumentError(Reason.MALFORMED, '"vector" belongs to "text" or to a chunk')
            pieces = [(text, 0, (), self._vector(fields.vector))]
        elif fields.chunks is not None:
            pieces = self._pieces(fields.chunks)
        if not pieces and not text.strip():
            return b""
        for piece in pieces:
            if len(piece[0].encode()) > MAX_PIECE_BYTES:
                raise DocumentError(
                    Reason.TOO_BIG,
                    f"a text with a vector has {len(piece[0].encode())} bytes; "
                    f"{MAX_PIECE_BYTES} are allowed",
                )
        content = _Content("" if pieces else text, tuple(pieces), fields.metadata or {})
        data = _decoded(_packer.encode, content)
        size = len(data) - sum(len(vector) for *_, vector in pieces)
        if size > self._max_bytes:
            raise DocumentError(Reason.TOO_BIG, f"has {size} bytes; {self._max_bytes} are allowed")
        return data

    def _pieces(self, chunks: Sequence[_Chunk]) -> list[_Packed]:
        given = [chunk.vector is not None for chunk in chunks]
        if any(given) and not all(given):
            raise DocumentError(
                Reason.WRONG_VECTOR, "either all of its chunks have a vector, or none"
            )
        return [
            (
                chunk.text.replace("\0", ""),
                max(chunk.start, 0),
                chunk.headings,
                b"" if chunk.vector is None else self._vector(chunk.vector),
            )
            for chunk in chunks
            if chunk.vector is not None or chunk.text.strip()
        ]

    def _vector(self, given: list[float] | bytes) -> bytes:
        numbers = array("f")
        if isinstance(given, bytes):
            numbers.frombytes(given[: len(given) // _FLOAT_BYTES * _FLOAT_BYTES])
            if sys.byteorder == "big":
                numbers.byteswap()
        else:
            numbers.extend(given)
        if len(numbers) != self._dimension:
            raise DocumentError(
                Reason.WRONG_VECTOR,
                f"its vector has {len(numbers)} dimensions; those of the collection have "
                f"{self._dimension}",
            )
        if not math.isfinite(sum(numbers)):
            raise DocumentError(
                Reason.WRONG_VECTOR, "its vector holds a number that is infinite or no number"
            )
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers.tobytes()


def parse(entry: Entry, data: bytes) -> Document:
    """Make a document of a record's content."""
    content = _unpacker.decode(data)
    pieces = tuple(Piece(*piece) for piece in content.pieces)
    metadata = {"path": entry.key, "title": entry.key, **content.metadata}
    return Document(entry.key, entry.key_bytes, content.text, metadata, (), _FORMAT, pieces)


def _decoded(decode: Callable[[Any], T], given: Any) -> T:
    """Decode, or say what is wrong.

    Raises:
        DocumentError: it is no JSON, or not what is expected.
    """
    try:
        return decode(given)
    except msgspec.ValidationError as error:
        raise DocumentError(Reason.MALFORMED, f"is not as expected: {error}") from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise DocumentError(Reason.MALFORMED, f"is no JSON: {error}") from error
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DocumentError(Reason.MALFORMED, f"can't be kept: {error}") from error


def _name_in(line: bytes) -> str:
    """Find the id of a document that has something wrong with it."""
    try:
        return str(_names.decode(line).id)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""


def _omission(name: str, place: str, error: DocumentError) -> Omission:
    key_bytes = name.encode(errors="replace")
    if len(key_bytes) > MAX_ID_BYTES or "\0" in name:
        key_bytes = b""
    told = DocumentError(error.reason, f"{place}: {error.message}")
    return Omission.of(printable(key_bytes) or place, key_bytes, told)
