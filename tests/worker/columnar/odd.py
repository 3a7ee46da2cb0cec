"""Metadata and vectors: what any JSON may hold, and what no one should give."""

import datetime as dt
import decimal
import json
from typing import Any

import numpy as np
from hypothesis import strategies as st
from pymilvus import DataType

NAMES = {
    *("flag", "tiny", "small", "number", "year", "weight", "exact", "source"),
    *("pk", "text", "vector", "$meta"),
}
"""Of fields in these tests' collections."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
extras = st.dictionaries(
    st.text().filter(lambda key: key not in NAMES),
    json_values,
    max_size=4,
)


class Shout(str):
    """Text that is not quite a string."""

    __slots__ = ()


ODD: list[Any] = [
    None, True, 0, -1, 127, 128, 2**31, 2**63, 2**64, 2**2000, 1.0, 1.5, -0.0, 1e39, 1e300,
    float("nan"), float("inf"), "", "1", "grain", "\ud800", "a\0b", Shout("mill"), b"", b"grain",
    b"\xff", [], [1], ["a"], ["ab", "c"], (), (1,), {}, {"a": 1}, {1: 2}, {"a": {2: 3}}, {"a"},
    np.int64(3), np.float32(1.5), np.float64(1.5), np.bool_(True), np.str_("x"), np.array([1, 2]),  # noqa: FBT003
    np.array(1.0), {"a": np.float32(1)}, (np.int64(1),), decimal.Decimal(1), object(), 1j,
    dt.datetime(2024, 2, 29, tzinfo=dt.UTC), DataType.BOOL, bytearray(b"x"),
    json.loads("[" * 300 + "]" * 300),
]  # fmt: skip
ODD_VECTORS: list[Any] = [
    [1.0, 2.0], [1, 2], [True, False], [1.0, None], [1.0, "2"], ["1", "2"], [], [1.0], "ab", "12",
    b"ab", None, 7, {0: 1.0}, {"a": 1.0}, (1.0, 2.0), [[1.0], [2.0]], [1e39, -1e39], [2**70, 1.0],
    [2**2000, 1.0], [1.0, 1j], [decimal.Decimal(1), 2.0], [np.float32(1), np.float64(2)],
    [np.int64(1), 2.0], [np.array(1.0), 2.0], [b"1", 2.0],
    np.array([1.0, 2.0], np.float32), np.array([1.0, 2.0], np.float64),
    np.array([1.0, 2.0], np.float16), np.array([1, 2]), np.array([True, False]),
    np.array([1.0, None]), np.array(["1", "2"]), np.array([[1.0, 2.0]]), np.array([]),
    np.array([1e300, 1.0]), np.array([1.0, 2.0], ">f4"), np.array([1.0, 2.0, 3.0, 4.0])[::2],
]  # fmt: skip
