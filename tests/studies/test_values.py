"""Values as bytes: what goes in comes out, or is refused; bytes that are none are refused."""

from __future__ import annotations

import contextlib
import math
import zlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mpbf_abm.studies.jobs import pack_value, unpack_value

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | arrays.arrays(
        st.sampled_from([np.float64, np.int64, np.int8, np.bool_, ">f4", "<U3", "M8[D]"]),
        arrays.array_shapes(min_dims=0, min_side=0, max_side=3),
    )
)
keys = st.text() | st.integers() | st.tuples(st.integers(), st.text())
values = st.recursive(leaves, lambda x: st.lists(x) | st.lists(x).map(tuple) | st.dictionaries(keys, x), max_leaves=8)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return math.isnan(b) if math.isnan(a) else (a, math.copysign(1, a)) == (b, math.copysign(1, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return len(a) == len(b) and all(map(same, a, b)) if isinstance(a, (list, tuple)) else bool(a == b)


@given(values)
def test_values_come_back_as_they_were(value: Any) -> None:
    assert same(value, unpack_value(pack_value(value)))


def test_tables_come_back_as_they_were() -> None:
    plain = pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [0.1, math.nan]})
    for table in (
        plain,
        plain.set_index("a"),
        pd.DataFrame(np.eye(2)),
        pd.DataFrame(),
        pd.DataFrame(index=range(3)),
        plain.iloc[:0],
        plain[1:],
    ):
        pd.testing.assert_frame_equal(unpack_value(pack_value({"t": table}))["t"], table)
    assert same(unpack_value(pack_value(np.float32(2.5))), np.float32(2.5))


def test_what_would_come_back_as_something_else_is_refused() -> None:
    refused: list[Any] = [
        object(),
        {1, 2},
        10**2000,
        np.zeros(2, [("a", int)]),
        np.array([[None]]),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame({"a": pd.Categorical(["x"])}),
        pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(1, 2)])),
        pd.Series([1]),
    ]
    for value in refused:
        with pytest.raises(TypeError, match="cannot be stored"):
            pack_value([value])


@given(st.binary(max_size=60), st.integers(0, 200), st.booleans())
def test_bytes_that_are_no_value_are_refused(noise: bytes, at: int, packed: bool) -> None:
    good = zlib.decompress(pack_value({"a": np.arange(3.0), "t": pd.DataFrame({"x": [1.0]})}))
    bad = good[:at] + noise + good[at + len(noise) :]
    with contextlib.suppress(ValueError):
        unpack_value(zlib.compress(bad) if packed else bad)
