"""Vectors that came with a batch."""

import struct

import msgspec
import numpy as np
import pytest

from contract.batch import Chunk, Part, decode
from contract.errors import StoreRejectedError
from tests.worker.rig import Rig
from worker.given import given_vector
from worker.outcome import Outcome


def packed(*numbers: float) -> bytes:
    """Give a vector as it travels."""
    return struct.pack(f"<{len(numbers)}f", *numbers)


def test_a_vector_is_read_bit_by_bit() -> None:
    """As it was given."""
    vector = given_vector(Chunk(key="k", text="t", vector=packed(0.1, -2.5)), 2)
    assert vector.dtype == np.float32
    assert vector.tolist() == [np.float32(0.1), -2.5]


@pytest.mark.parametrize("vector", [b"", packed(1), packed(1, 2, 3), packed(1, float("nan"))])
def test_a_vector_that_does_not_fit_is_refused(vector: bytes) -> None:
    """Of another length, or not finite."""
    with pytest.raises(StoreRejectedError):
        given_vector(Chunk(key="k", text="t", vector=vector), 2)


async def brought(rig: Rig, vectors: dict[str, list[float]], **documents: str) -> list[Part]:
    """Promise documents whose words bring vectors."""
    parts = await rig.shop.parts(**documents)
    return [
        msgspec.structs.replace(
            part,
            chunks=tuple(
                msgspec.structs.replace(chunk, vector=packed(*vectors[chunk.text]))
                for chunk in part.chunks
            ),
        )
        for part in parts
    ]


def axis(at: int) -> list[float]:
    """Give a vector of the mill's dimension."""
    return [float(number == at) for number in range(4)]


async def stored(rig: Rig, part: Part) -> list[list[float]]:
    """Read the vectors of a document back."""
    store = await rig.store_of(rig.shop.collection)
    ids = [f"{part.document_id}:{part.version}:{ordinal}" for ordinal in range(part.chunk_count)]
    rows = await store.read(ids, vectors=True)
    return [np.asarray(rows[name].vector).tolist() for name in ids]


async def test_given_vectors_are_written_and_nothing_is_embedded(rig: Rig) -> None:
    """Beside documents that are embedded, and also where equal texts have other vectors."""
    vectors = {"x": axis(0), "y": axis(1)}
    (given,) = await brought(rig, vectors, one="x y")
    (other,) = await brought(rig, {"x": axis(2)}, two="x")
    (plain,) = await rig.shop.parts(three="z x")
    assert await rig.ingest(await rig.shop.publish(given, other, plain)) is Outcome.FINISHED
    assert rig.mill.calls == [["z", "x"]]
    assert rig.shop.rows() == {"one": ["x", "y"], "two": ["x"], "three": ["z", "x"]}
    assert await stored(rig, given) == [axis(0), axis(1)]
    assert await stored(rig, other) == [axis(2)]


async def test_a_given_vector_is_not_used_for_a_text_that_is_to_be_embedded(rig: Rig) -> None:
    """Whoever gives no vector any more wants the model's."""
    (given,) = await brought(rig, {"x": axis(0)}, one="x")
    await rig.ingest(await rig.shop.publish(given))
    await rig.ingest(await rig.shop.order(one="x y"))
    assert rig.mill.calls == [["x", "y"]]
    await rig.ingest(await rig.shop.order(one="y z"))
    assert rig.mill.calls == [["x", "y"], ["z"]], "while the model's own are used again"


async def test_a_wrong_vector_costs_its_document_alone(rig: Rig) -> None:
    """Its letter holds the vectors, so that it can be looked at, and replayed."""
    vectors = {"x": axis(0), "bad": [1.0]}
    good, bad = await brought(rig, vectors, one="x", two="x bad")
    assert await rig.ingest(await rig.shop.publish(good, bad)) is Outcome.FINISHED
    assert rig.shop.rows() == {"one": ["x"]}
    (letter,) = await rig.shop.letters()
    assert (letter.document_id, letter.stage, letter.reason, letter.ordinals) == (
        "two",
        "write",
        "StoreRejectedError",
        (1,),
    )


async def test_a_letter_has_the_vectors_of_all_its_chunks(rig: Rig) -> None:
    """Also of those that another batch has written already, which are read back."""
    vectors = {"x": axis(0), "y": axis(1), "bad": [1.0]}
    (whole,) = await brought(rig, vectors, one="x y bad")
    first = msgspec.structs.replace(whole, chunks=whole.chunks[:2])
    last = msgspec.structs.replace(whole, chunks=whole.chunks[2:], first=2)
    await rig.ingest(await rig.shop.publish(first))
    await rig.ingest(await rig.shop.publish(last))
    (letter,) = await rig.shop.letters()
    assert decode(letter.payload).parts[0].chunks == whole.chunks
    assert rig.shop.rows() == {}
