"""Records: what a line or an entry of a stream may be, and what it may not."""

import json
import math
import struct
from typing import Any

import pytest

from producers.document import Omission, Reason
from producers.sources.record import MAX_ID_BYTES, Read, Record, RecordReader, parse
from producers.splitting import MAX_PIECE_BYTES

READER = RecordReader(3, 10_000)


def read(**fields: Any) -> Read:
    """Read a line."""
    return READER.line(json.dumps(fields).encode(), "line 7")


def sound(**fields: Any) -> Record:
    """Read a line that is as it should be."""
    record = read(**fields)
    assert isinstance(record, Record), record
    return record


def packed(*numbers: float) -> bytes:
    """Give a vector as it travels."""
    return struct.pack(f"<{len(numbers)}f", *numbers)


def test_a_text_with_metadata() -> None:
    """The id is the key; metadata may nest, and the id is its title where nothing else is."""
    record = sound(id="a/b", text="Grain\0 falls.", metadata={"n": [1, {"x": None}], "title": "T"})
    document = parse(record.entry, record.data)
    assert (record.entry.key, record.entry.key_bytes) == ("a/b", b"a/b")
    assert (document.text, document.pieces) == ("Grain falls.", ())
    assert document.metadata == {"path": "a/b", "title": "T", "n": [1, {"x": None}]}


def test_the_same_content_has_the_same_form() -> None:
    """Order of keys, spelling of numbers and white space make no other content."""
    one = READER.line(b'{"id":"a","text":"t","vector":[0.5,1,2.0],"metadata":{"x":1,"y":2}}', "")
    two = READER.line(b'{"metadata":{"y":2,"x":1},"vector":[5e-1,1.0,2],"text":"t","id":"a"} ', "")
    assert one == two
    assert one != read(id="a", text="t", vector=[0.5, 1, 2.5], metadata={"x": 1, "y": 2})


def test_vectors_travel_as_they_came() -> None:
    """A text with a vector is one piece; so is each chunk of a document that brings them."""
    record = sound(id="a", text="t", vector=[0.5, -1, 2])
    (piece,) = parse(record.entry, record.data).pieces
    assert (piece.text, piece.vector) == ("t", packed(0.5, -1, 2))
    chunks = [{"text": "one", "vector": [1, 2, 3]}, {"text": "", "vector": [4, 5, 6], "start": 9}]
    record = sound(id="a", chunks=chunks)
    pieces = parse(record.entry, record.data).pieces
    assert [(x.text, x.start, x.vector) for x in pieces] == [
        ("one", 0, packed(1, 2, 3)),
        ("", 9, packed(4, 5, 6)),
    ]


def test_chunks_without_vectors_are_cut_and_not_embedded() -> None:
    """They keep their places and headings."""
    record = sound(id="a", chunks=[{"text": "one", "headings": ["H"]}, {"text": " "}])
    (piece,) = parse(record.entry, record.data).pieces
    assert (piece.text, piece.heading_path, piece.vector) == ("one", ("H",), b"")


@pytest.mark.parametrize(
    "fields", [{"deleted": True}, {"text": " \n"}, {"chunks": []}, {"deleted": True, "text": "t"}]
)
def test_what_has_no_text_is_deleted(fields: dict[str, Any]) -> None:
    """Nothing is left of it to be found."""
    assert sound(id="a", **fields).data == b""


def test_a_number_is_an_id_too() -> None:
    """Many dumps have numbers."""
    assert sound(id=17, text="t").entry.key_bytes == b"17"


@pytest.mark.parametrize(
    ("line", "key_bytes", "reason", "word"),
    [
        (b"{", b"", Reason.MALFORMED, "no JSON"),
        (b"[]", b"", Reason.MALFORMED, "expected"),
        (b'{"text": "t"}', b"", Reason.MALFORMED, "id"),
        (b'{"id": "", "text": "t"}', b"", Reason.MALFORMED, "id"),
        (b'{"id": "a\\u0000", "text": "t"}', b"", Reason.MALFORMED, "id"),
        (b'{"id": "a", "text": 5}', b"a", Reason.MALFORMED, "str"),
        (b'{"id": "a"}', b"a", Reason.MALFORMED, "either"),
        (b'{"id": "a", "text": "t", "chunks": []}', b"a", Reason.MALFORMED, "either"),
        (b'{"id": "a", "text": "t", "txt": ""}', b"a", Reason.MALFORMED, "txt"),
        (b'{"id": "a", "text": "\xff"}', b"a", Reason.MALFORMED, "JSON"),
        (b'{"id": "a", "chunks": [], "vector": [1,2,3]}', b"a", Reason.MALFORMED, "vector"),
        (b'{"id": "a", "text": "t", "vector": [1,2]}', b"a", Reason.WRONG_VECTOR, "2 dimensions"),
        (b'{"id": "a", "text": "t", "vector": [1,2,1e39]}', b"a", Reason.WRONG_VECTOR, "infinite"),
        (b'{"id": "a", "text": "t", "vector": [1,2,NaN]}', b"", Reason.MALFORMED, "JSON"),
        (
            b'{"id": "a", "chunks": [{"text": "t", "vector": [1,2,3]}, {"text": "u"}]}',
            b"a",
            Reason.WRONG_VECTOR,
            "all",
        ),
        (b'{"id": "a", "text": "t", "metadata": {"n": 1%s}}' % (b"0" * 30), b"a", "malformed", ""),
        (b'{"id": "a", "text": "%s"}' % (b"x" * 10_001), b"a", Reason.TOO_BIG, "10000 are"),
        (b'{"id": "%s", "text": "t"}' % (b"x" * (MAX_ID_BYTES + 1)), b"", Reason.MALFORMED, "id"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    line: bytes, key_bytes: bytes, reason: str, word: str
) -> None:
    """Its letter is that of the document, where the id is known."""
    omission = READER.line(line, "line 7")
    assert isinstance(omission, Omission), omission
    assert (omission.key_bytes, omission.reason, omission.failed) == (key_bytes, reason, True)
    assert omission.message.startswith("line 7: ")
    assert word in omission.message
    assert omission.key == (key_bytes.decode() or "line 7")


def test_a_text_with_a_vector_fits_a_row() -> None:
    """It is not cut, so it must not be longer than a field of Milvus."""
    reader = RecordReader(1, 10**6)
    long = json.dumps({"id": "a", "text": "x" * (MAX_PIECE_BYTES + 1), "vector": [1]}).encode()
    omission = reader.line(long, "line 1")
    assert isinstance(omission, Omission)
    assert omission.reason == Reason.TOO_BIG


def test_fields_of_an_entry() -> None:
    """An entry holds the JSON of a line, or its fields one by one; a vector also as bytes."""
    whole = {b"document": b'{"id": "a", "text": "t", "vector": [1, 2, 3], "metadata": {"n": 1}}'}
    apart = {b"id": b"a", b"text": b"t", b"vector": b"[1, 2, 3]", b"metadata": b'{"n": 1}'}
    raw = apart | {b"vector": packed(1, 2, 3)}
    expected = read(id="a", text="t", vector=[1, 2, 3], metadata={"n": 1})
    assert [READER.fields(fields, "line 7") for fields in (whole, apart, raw)] == [expected] * 3
    gone = READER.fields({b"id": b"a", b"deleted": b"1"}, "")
    assert isinstance(gone, Record)
    assert gone.data == b""


@pytest.mark.parametrize(
    ("fields", "key_bytes"),
    [
        ({}, b""),
        ({b"id": b"a"}, b"a"),
        ({b"id": b"a", b"text": b"\xff"}, b"a"),
        ({b"id": b"a", b"text": b"t", b"metadata": b"{"}, b"a"),
        ({b"id": b"a", b"text": b"t", b"vector": b"\0" * 8}, b"a"),
        ({b"id": b"a", b"text": b"t", b"vector": packed(1, 2, math.nan)}, b"a"),
        ({b"document": b"{"}, b""),
    ],
)
def test_a_poisoned_entry(fields: dict[bytes, bytes], key_bytes: bytes) -> None:
    """It is told from the others, and keeps its id."""
    omission = READER.fields(fields, "entry 1-0")
    assert isinstance(omission, Omission), omission
    assert omission.key_bytes == key_bytes
    assert omission.message.startswith("entry 1-0: ")
