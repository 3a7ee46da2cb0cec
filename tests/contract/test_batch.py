"""The batch on the wire: read back as it was, or refused with its bytes."""

import contextlib
import itertools
import json
import math
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.batch import (
    FORMAT_VERSION,
    MAGIC,
    MAX_DECODED_BYTES,
    Batch,
    Chunk,
    Part,
    decode,
    encode,
)
from contract.errors import BatchDecodeError
from contract.lane import Lane

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GOLDEN = Path(__file__).parents[1] / "golden"
HEADER = MAGIC + bytes([FORMAT_VERSION])

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
COUNTS = st.integers(0, 2**62)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | TEXTS,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(TEXTS, values, max_size=3),
    max_leaves=5,
)
CHUNKS = st.builds(
    Chunk, key=TEXTS, text=TEXTS, start=COUNTS, headings=st.lists(TEXTS, max_size=3).map(tuple)
)
PARTS = st.builds(
    Part,
    document_id=TEXTS,
    source=TEXTS,
    version=COUNTS,
    content_hash=TEXTS,
    chunk_count=COUNTS,
    first=st.integers(0, 10_000),
    chunks=st.lists(CHUNKS, max_size=3).map(tuple),
    twin=TEXTS,
    metadata=st.dictionaries(TEXTS, JSON_VALUES, max_size=3),
)
BATCHES = st.builds(
    Batch,
    collection=TEXTS,
    job=TEXTS,
    parts=st.lists(
        PARTS, min_size=1, max_size=4, unique_by=lambda p: (p.document_id, p.version, p.first)
    ).map(tuple),
    lane=st.sampled_from(Lane),
)


def small() -> Batch:
    """Make the batch of the golden file."""
    return msgspec.json.decode((GOLDEN / "batch-v1.json").read_bytes(), type=Batch)


def packed(fields: object, *, size: bool = True) -> bytes:
    """Give anything the form of a batch."""
    compressor = zstd.ZstdCompressor()
    body = msgspec.msgpack.encode(fields)
    if size:
        return HEADER + zstd.compress(body)
    return HEADER + compressor.compress(body) + compressor.flush()


def refused(payload: bytes) -> BatchDecodeError:
    """Decode something wrong, and give the error, which keeps the bytes."""
    with pytest.raises(BatchDecodeError) as caught:
        decode(payload)
    assert caught.value.payload == payload
    assert str(len(payload)) in str(caught.value)
    return caught.value


@given(BATCHES)
def test_round_trip(batch: Batch) -> None:
    """What was encoded is read back, and has the same id."""
    payload = encode(batch)
    assert decode(payload) == batch
    assert decode(payload).id == batch.id
    assert encode(batch) == payload


def test_golden() -> None:
    """Batches that an earlier release left in the ledger are read by this one."""
    batch = small()
    assert decode((GOLDEN / "batch-v1.bin").read_bytes()) == batch
    assert batch.id == "0274281d63a6347881715d30ecf8ac7f"
    assert [part.units for part in batch.parts] == [2, 1]
    assert list(batch.parts[0].ordinals) == [2, 3]
    assert list(batch.parts[1].ordinals) == []
    assert batch.chunk_count == 2
    assert batch.lane is Lane.BULK, "which is older than lanes"


def test_golden_lane() -> None:
    """A live batch that an earlier release left is a live one; the lane is no part of its name."""
    batch = decode((GOLDEN / "batch-v1-live.bin").read_bytes())
    assert batch == msgspec.structs.replace(small(), lane=Lane.LIVE)
    assert batch.is_live
    assert not small().is_live
    assert batch.id == small().id


def test_a_twin_is_no_part_of_the_name() -> None:
    """Where vectors may be read from does not make it another batch."""
    batch = small()
    parts = tuple(msgspec.structs.replace(part, twin="other") for part in batch.parts)
    assert Batch(collection=batch.collection, job=batch.job, parts=parts).id == batch.id


def test_fields_of_a_newer_release_are_left_alone() -> None:
    """A field that this release does not know is no error; a missing one has its default."""
    fields: dict[str, Any] = json.loads((GOLDEN / "batch-v1.json").read_bytes())
    fields["colour"] = "blue"
    fields["parts"][0]["chunks"][0] |= {"colour": "blue"}
    assert decode(packed(fields)) == small()
    del fields["parts"][0]["metadata"]
    assert decode(packed(fields)).parts[0].metadata == {}


@pytest.mark.parametrize("version", [0, FORMAT_VERSION + 1, 255])
def test_unknown_version(version: int) -> None:
    """A batch of another format says what to upgrade."""
    payload = MAGIC + bytes([version]) + encode(small())[4:]
    assert "upgrade the workers first" in str(refused(payload))


def test_cut_off() -> None:
    """A payload that ends anywhere before its end is refused."""
    payload = encode(small())
    for length in range(len(payload)):
        refused(payload[:length])


@given(st.binary(min_size=1, max_size=50))
def test_followed_by_something(more: bytes) -> None:
    """A payload with something behind it is refused, also with a second batch."""
    refused(encode(small()) + more)
    refused(encode(small()) + encode(small())[4:])


@given(st.binary(max_size=100))
def test_noise(noise: bytes) -> None:
    """Any bytes are refused in one way."""
    refused(noise)
    refused(HEADER + noise)
    refused(HEADER + zstd.compress(noise))


def test_flipped_bits() -> None:
    """No flipped bit makes another error, and none in the header goes unnoticed."""
    payload = encode(small())
    for place, bit in itertools.product(range(len(payload)), range(8)):
        flipped = bytearray(payload)
        flipped[place] ^= 1 << bit
        if place < len(HEADER):
            refused(bytes(flipped))
        with contextlib.suppress(BatchDecodeError):
            decode(bytes(flipped))


@pytest.mark.parametrize("size", [True, False])
def test_bomb(size: bool) -> None:  # noqa: FBT001 - both ways of compression
    """A payload that unpacks to more than any producer makes is refused before it is unpacked."""
    compressor = zstd.ZstdCompressor()
    piece = bytes(1024 * 1024)
    pieces = math.ceil(MAX_DECODED_BYTES / len(piece)) + 1
    if size:
        compressor.set_pledged_input_size(pieces * len(piece))
    body = b"".join(compressor.compress(piece) for _ in range(pieces)) + compressor.flush()
    assert len(body) < 64 * 1024
    assert "too large" in str(refused(HEADER + body))


def test_deep() -> None:
    """Metadata nested without end is refused, not a crash."""
    fields: dict[str, Any] = msgspec.to_builtins(small())
    body, lane = msgspec.msgpack.encode(fields), b"\xa4lane\xa4bulk\xa5trace\xa0"
    assert body.endswith(msgspec.msgpack.encode(fields["parts"][1]["metadata"]) + lane)
    deep = body.removesuffix(lane)[:-1] + b"\x81\xa1a" + b"\x91" * 100_000 + b"\xc0" + lane
    refused(HEADER + zstd.compress(deep))


@pytest.mark.parametrize(
    "change",
    [
        {"parts": []},
        {"parts": None},
        {"parts": [1]},
        {"job": 7},
        {"collection": None},
        {"job": b"bytes"},
        {"lane": "slow"},
    ],
)
def test_wrong_types(change: dict[str, object]) -> None:
    """A map with wrong values is refused."""
    refused(packed(msgspec.to_builtins(small()) | change))


@pytest.mark.parametrize("fields", [None, 1, "text", [], {}, {"job": "j"}])
def test_no_batch(fields: object) -> None:
    """Something else in the place of a batch is refused."""
    refused(packed(fields))
    refused(packed(fields, size=False))


def test_encode_refuses_what_claims_rows_twice() -> None:
    """A batch without parts, or with two parts for the same rows, is a mistake of the caller."""
    batch = small()
    for parts in ((), (batch.parts[0], batch.parts[0])):
        with pytest.raises(ValueError, match="rows of its own"):
            encode(Batch(collection="books", job="j", parts=parts))


def test_golden_files_say_the_same() -> None:
    """The readable file beside the golden one is sorted, indented JSON."""
    text = (GOLDEN / "batch-v1.json").read_text(encoding="utf-8")
    assert json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n" == text
