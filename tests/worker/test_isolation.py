"""Finding the items that are refused."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.batch import Batch, Chunk, Part
from contract.errors import PermanentError, StoreRejectedError, TransientError
from worker.isolation import halves, isolate


class Picky:
    """A call that refuses some items, and remembers what it took."""

    def __init__(self, bad: set[int]) -> None:
        """Refuse any call with one of these."""
        self.bad = bad
        self.calls = 0
        self.taken: list[int] = []

    async def __call__(self, items: Sequence[int]) -> None:
        """Take all or nothing."""
        self.calls += 1
        if self.bad & set(items):
            raise StoreRejectedError(f"refused: {min(self.bad & set(items))}")
        self.taken += items


@given(number=st.integers(0, 200), data=st.data())
async def test_exactly_the_bad_items_are_found(number: int, data: st.DataObject) -> None:
    """Every good item is taken once and in order, every bad one comes back with its reason."""
    bad = data.draw(st.sets(st.integers(0, 199), max_size=20)) & set(range(number))
    call = Picky(bad)
    refused = await isolate(range(number), call)
    assert [item for item, _ in refused] == sorted(bad)
    assert [str(error) for _, error in refused] == [f"refused: {item}" for item in sorted(bad)]
    assert call.taken == [item for item in range(number) if item not in bad]
    assert call.calls <= max(2 * number - 1, 0)


@given(number=st.integers(1, 2048), data=st.data())
async def test_one_bad_item_is_found_in_few_calls(number: int, data: st.DataObject) -> None:
    """One bad item among n takes about 2 log2 n calls."""
    call = Picky({data.draw(st.integers(0, number - 1))})
    assert len(await isolate(range(number), call)) == 1
    assert call.calls <= 2 * math.ceil(math.log2(number)) + 1


async def test_nothing_is_called_for_nothing() -> None:
    """No items, no call."""
    call = Picky(set())
    assert await isolate([], call) == []
    assert call.calls == 0


async def test_what_may_succeed_later_is_not_isolated() -> None:
    """A transient error goes to the caller at once: no item is to blame."""
    calls = 0

    async def call(_: Sequence[int]) -> None:
        nonlocal calls
        calls += 1
        raise TransientError("away")

    with pytest.raises(TransientError):
        await isolate([1, 2, 3], call)
    assert calls == 1


async def test_all_items_may_be_bad() -> None:
    """When everything is refused, everything comes back."""
    refused = await isolate([0, 1, 2], Picky({0, 1, 2}))
    assert [item for item, _ in refused] == [0, 1, 2]
    assert all(isinstance(error, PermanentError) for _, error in refused)


async def test_what_is_blamed_is_for_the_caller_to_say() -> None:
    """A transient error counts as a refusal if it is told so."""

    async def call(items: Sequence[int]) -> None:
        if 3 in items:
            raise TransientError("again and again")

    refused = await isolate([1, 2, 3, 4], call, lambda error: isinstance(error, TransientError))
    assert [item for item, _ in refused] == [3]


def batch(*sizes: int) -> Batch:
    """Make a batch with a part for each number of chunks."""
    return Batch(
        collection="shelf",
        job="job",
        parts=tuple(
            Part(
                document_id=f"d{at}",
                source="books",
                version=1,
                content_hash="c",
                chunk_count=size + 5,
                first=5,
                chunks=tuple(Chunk(key=f"{at}/{n}", text=str(n)) for n in range(size)),
                twin="t",
            )
            for at, size in enumerate(sizes)
        ),
    )


@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=9))
def test_halves_hold_the_whole(sizes: list[int]) -> None:
    """Halved until nothing can be: every chunk is there once, at its place, under a new name."""
    whole = batch(*sizes)
    left, pieces = [whole], []
    while left:
        one = left.pop()
        if sum(part.units for part in one.parts) == 1:
            pieces.append(one)
        else:
            two = halves(one)
            assert len({one.id, *(half.id for half in two)}) == 3
            left += two
    found = {
        (part.document_id, part.first): [chunk.key for chunk in part.chunks]
        for piece in pieces
        for part in piece.parts
    }
    assert found == {
        (part.document_id, ordinal): [chunk.key]
        for part in whole.parts
        for ordinal, chunk in zip(part.ordinals, part.chunks, strict=True)
    } | {(part.document_id, 5): [] for part in whole.parts if not part.chunks}


def test_one_chunk_can_not_be_halved() -> None:
    """Whoever tries has lost count."""
    with pytest.raises(ValueError, match="one chunk"):
        halves(batch(1))
