"""Promises of the batcher."""

from hypothesis import given
from hypothesis import strategies as st

from contract.batch import Batch, Chunk, Part, decode, encode
from contract.lane import Lane
from producers.batching import Batcher, BatchLimits


class _Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def _part(number: int, texts: list[str]) -> Part:
    return Part(
        document_id=f"document-{number}",
        source="shelf",
        version=1,
        content_hash="hash",
        chunk_count=len(texts),
        first=0,
        chunks=tuple(Chunk(key=f"{number}/{at}", text=text) for at, text in enumerate(texts)),
    )


def _bytes(batch: Batch) -> int:
    return sum(len(chunk.text.encode()) for part in batch.parts for chunk in part.chunks)


_TEXTS = st.lists(st.text("aä€", max_size=30), max_size=40)


@given(
    documents=st.lists(_TEXTS, max_size=12),
    limits=st.builds(
        BatchLimits,
        chunks=st.integers(1, 10),
        text_bytes=st.integers(1, 120),
        age_seconds=st.just(1.0),
    ),
)
def test_nothing_is_lost_and_limits_hold(documents: list[list[str]], limits: BatchLimits) -> None:
    """All chunks come out in order, in parts that fit together, within the limits."""
    wholes = [_part(number, texts) for number, texts in enumerate(documents)]
    batcher = Batcher("shelf", "job", limits, _Clock(), lambda: Lane.BULK)
    batches = [batch for whole in wholes for batch in batcher.add(whole)]
    last = batcher.flush()
    batches += [last] if last else []
    assert batcher.flush() is None

    parts = [part for batch in batches for part in batch.parts]
    for whole in wholes:
        own = [part for part in parts if part.document_id == whole.document_id]
        assert own[0].first == 0
        assert [at for part in own for at in part.ordinals] == list(range(whole.chunk_count))
        assert tuple(chunk for part in own for chunk in part.chunks) == whole.chunks
        assert {part.chunk_count for part in own} == {whole.chunk_count}
        assert all(part.chunks for part in own) == bool(whole.chunks)
    order = [part.document_id for part in parts]
    assert order == sorted(order, key=lambda name: int(name.removeprefix("document-")))
    for batch in batches:
        assert batch.parts
        assert batch.chunk_count <= limits.chunks
        assert _bytes(batch) <= limits.text_bytes or batch.chunk_count == 1
        assert sum(not part.chunks for part in batch.parts) <= limits.chunks
        assert decode(encode(batch)) == batch


def test_batches_are_filled() -> None:
    """No batch is given before it is full."""
    batcher = Batcher("shelf", "job", BatchLimits(4, 1_000, 1.0), _Clock(), lambda: Lane.BULK)
    given_ = [batch for n in range(10) for batch in batcher.add(_part(n, ["text"] * 3))]
    assert [batch.chunk_count for batch in given_] == [4] * 7
    last = batcher.flush()
    assert last is not None
    assert last.chunk_count == 2


def test_age_counts_from_the_first_chunk() -> None:
    """A batch is due when its first part has waited long enough, whatever came after it."""
    clock = _Clock()
    batcher = Batcher("shelf", "job", BatchLimits(100, 1_000, 1.0), clock, lambda: Lane.BULK)
    assert batcher.due() is None
    clock.seconds = 50.0
    assert list(batcher.add(_part(1, ["a"]))) == []
    clock.seconds = 50.9
    assert list(batcher.add(_part(2, ["b"]))) == []
    assert batcher.due() is None
    clock.seconds = 51.0
    batch = batcher.due()
    assert batch is not None
    assert batch.chunk_count == 2
    assert batcher.due() is None


def test_age_begins_anew_with_what_a_full_batch_left() -> None:
    """The rest of a document that filled a batch is as old as that moment."""
    clock = _Clock()
    batcher = Batcher("shelf", "job", BatchLimits(2, 1_000, 1.0), clock, lambda: Lane.BULK)
    assert list(batcher.add(_part(1, ["a"]))) == []
    clock.seconds = 0.75
    assert len(list(batcher.add(_part(2, ["b", "c"])))) == 1
    clock.seconds = 1.5
    assert batcher.due() is None
    clock.seconds = 1.75
    assert batcher.due() is not None
