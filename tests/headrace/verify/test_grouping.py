"""Sorted ids become documents, also across pages; pure."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import TransientError
from contract.ids import chunk_id, chunk_ids
from headrace.verify.grouping import Grouper, Held

A, B = "a" * 32, "b" * 32


def test_documents_are_put_together() -> None:
    """With all their versions; the last one is held back until it is known to be through."""
    ids = sorted([*chunk_ids(A, 1, range(12)), *chunk_ids(A, 2, [0, 5]), chunk_id(B, 7, 0)])
    grouper = Grouper()
    (first,), foreign = grouper.add(ids)
    assert foreign == []
    assert first.document_id == A
    assert {v: sorted(o) for v, o in first.versions.items()} == {1: list(range(12)), 2: [0, 5]}
    assert first.rows == 14
    assert first.is_whole(1, 12)
    assert not first.is_whole(1, 13)
    assert not first.is_whole(2, 2)
    assert [held.document_id for held in grouper.rest()] == [B]
    assert grouper.rest() == []


FOREIGN = [
    "", "x", f"{A}:1", f"{A}:1:", f"{A}:1:-1", f"{A}:01:0", f"{A}:0:0", f"{A}:1:00",
    f"{A.upper()}:1:0", f"{A}:1:0:0", f"{A}:1:99999999999", f"{A}:9999999999999999999:0",
    f"{A}:1:\N{ARABIC-INDIC DIGIT ONE}", f"{A}:1:0\n",
]  # fmt: skip


@pytest.mark.parametrize("odd", FOREIGN)
def test_ids_of_others_are_told_apart(odd: str) -> None:
    """Whatever does not read exactly as an id of ours is none."""
    grouper = Grouper()
    assert grouper.add([odd]) == ([], [odd])
    assert grouper.rest() == []


def test_rows_out_of_order_are_an_error() -> None:
    """One that was passed over might be taken for lost."""
    grouper = Grouper()
    grouper.add([chunk_id(B, 1, 0)])
    with pytest.raises(TransientError, match="out of order"):
        grouper.add([chunk_id(A, 1, 0)])


_rows = st.sets(
    st.tuples(st.sampled_from([A, B, "c" * 32]), st.integers(1, 3), st.integers(0, 30)), max_size=60
)


@given(rows=_rows, cuts=st.lists(st.integers(0, 60), max_size=5))
def test_pages_may_be_cut_anywhere(rows: set[tuple[str, int, int]], cuts: list[int]) -> None:
    """The documents are the same."""
    ids = sorted(chunk_id(*row) for row in rows)
    grouper, found = Grouper(), list[Held]()
    edges = [0, *sorted(min(cut, len(ids)) for cut in cuts), len(ids)]
    for begin, end in itertools.pairwise(edges):
        held, foreign = grouper.add(ids[begin:end])
        assert foreign == []
        found += held
    found += grouper.rest()
    assert len({held.document_id for held in found}) == len(found)
    back = {
        (held.document_id, version, ordinal)
        for held in found
        for version, ordinals in held.versions.items()
        for ordinal in ordinals
    }
    assert back == rows
