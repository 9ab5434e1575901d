"""Designs: what they cover, that longer ones begin with shorter ones, and what they refuse."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.studies.design import DUMMY, Design, Factor, Scenarios, build

REAL = Factor(name="a", low=0.0, high=2.0)
LOG = Factor(name="b", low=0.01, high=100.0, scale="log")
WHOLE = Factor(name="c", low=2, high=5, whole=True)
NAMES = Factor(name="d", values=("x", "y", "z"))
ALL = (REAL, LOG, WHOLE, NAMES)


def make(factors: Any = ALL, **design: Any) -> Scenarios:
    return build(Design(**design), factors, 7)


def test_nothing_varies_in_a_single_scenario() -> None:
    assert make((), kind="single").values == [()]


def test_quantiles_and_levels() -> None:
    assert [REAL.at(u) for u in (0, 0.5, 1)] == [0, 1, 2]
    assert [LOG.at(u) for u in (0, 0.5, 1)] == pytest.approx([0.01, 1, 100])
    assert [WHOLE.at(u) for u in (0, 0.24, 0.26, 0.99, 1)] == [2, 2, 3, 5, 5]
    assert [NAMES.at(u) for u in (0, 0.34, 1)] == ["x", "y", "z"]
    assert REAL.levels(3) == (0, 1, 2)
    assert WHOLE.levels(10) == (2, 3, 4, 5)
    assert NAMES.levels(2) == ("x", "y", "z")


@given(st.floats(0, 1))
def test_quantiles_stay_in_range(u: float) -> None:
    assert 0 <= REAL.at(u) <= 2
    assert 0.0099999 < LOG.at(u) < 100.0001
    assert WHOLE.at(u) in (2, 3, 4, 5)


def test_a_grid_has_every_combination() -> None:
    s = make(kind="grid", levels=3)
    assert len(s) == 3 * 3 * 3 * 3
    assert len(set(s.values)) == len(s)


def test_one_at_a_time_leaves_the_middle_once_for_each_level() -> None:
    s = make((REAL, WHOLE), kind="one_at_a_time", levels=3)
    middle = s.values[0]
    assert middle == (1.0, 4)
    assert all(sum(a != b for a, b in zip(row, middle, strict=True)) <= 1 for row in s.values)
    assert len(set(s.values)) == len(s)


@pytest.mark.parametrize("n", [1, 3, 12, 25, 64])
def test_a_latin_hypercube_has_one_point_in_each_cell_of_each_axis(n: int) -> None:
    s = make((REAL, Factor(name="e", low=0, high=1)), kind="lhs", n=n)
    for i, width in ((0, 2.0), (1, 1.0)):
        cells = sorted(int(row[i] / width * n) for row in s.values)
        assert cells == list(range(n))


@pytest.mark.parametrize(("kind", "n"), [("lhs", 12), ("sobol", 16), ("morris", 5), ("saltelli", 16)])
def test_a_longer_design_begins_with_the_shorter_one(kind: str, n: int) -> None:
    factors = (REAL, LOG, WHOLE)
    short, long = make(factors, kind=kind, n=n), make(factors, kind=kind, n=2 * n)
    assert long.values[: len(short)] == short.values
    assert long.keys[: len(short)] == short.keys


def test_rows_of_a_sample_have_keys_of_their_own() -> None:
    s = make((NAMES,), kind="lhs", n=30)
    assert len(set(s.values)) == 3
    assert len(set(s.keys)) == 30


def test_a_saltelli_design_takes_one_column_at_a_time_from_b() -> None:
    s = make(kind="saltelli", n=8)
    block = 2 + len(ALL) + 1
    assert len(s) == 8 * block
    for j in range(8):
        a, b, *mixed = s.values[j * block : (j + 1) * block]
        for i, row in enumerate(mixed[:-1]):
            assert row[i] == b[i]
            assert [v for k, v in enumerate(row) if k != i] == [v for k, v in enumerate(a) if k != i]
        assert mixed[-1] == a
    assert len(set(s.keys)) == len(s)
    assert s.labels[block - 1] == f"AB:0:{DUMMY}"
    assert len(make(kind="saltelli", n=8, dummy=False)) == 8 * (block - 1)


def test_a_morris_trajectory_moves_each_factor_once() -> None:
    factors = (REAL, Factor(name="e", low=0, high=1), WHOLE)
    s = make(factors, kind="morris", n=20, levels=4)
    assert len(s) == 20 * 4
    for t in range(20):
        rows, moved, steps = (x[4 * t : 4 * t + 4] for x in (s.values, s.moved, s.steps))
        assert moved[0] == -1
        assert sorted(moved[1:]) == [0, 1, 2]
        for before, after, factor, step in zip(rows, rows[1:], moved[1:], steps[1:], strict=False):
            assert [i for i in range(3) if before[i] != after[i]] == [factor]
            assert np.sign(after[factor] - before[factor]) == np.sign(step)
            assert abs(step) == pytest.approx(2 / 3)
    assert len(set(s.keys)) == 20
    ups = np.mean([step > 0 for step, m in zip(s.steps, s.moved, strict=True) if m >= 0])
    assert 0.3 < ups < 0.7


def test_a_table_is_taken_as_it_is_in_the_order_of_the_factors() -> None:
    s = make((REAL, WHOLE), kind="table", columns=("c", "a"), rows=((2.0, 0.5), (5, 1.5)))
    assert s.values == [(0.5, 2), (1.5, 5)]
    assert isinstance(s.values[0][1], int)


@pytest.mark.parametrize(
    ("factors", "design", "told"),
    [
        (ALL, {"kind": "single"}, "a varies; say how"),
        ((), {"kind": "lhs", "n": 3}, "no parameter varies"),
        (ALL, {"kind": "morris", "n": 3}, "d has values without an order"),
        ((REAL,), {"kind": "table", "columns": ("b",), "rows": ((1,),)}, "the table has no column 'a'"),
        (
            (REAL,),
            {"kind": "table", "columns": ("a", "b"), "rows": ((1, 2),)},
            "column 'b' of the table is no parameter",
        ),
        (
            (REAL,),
            {"kind": "table", "columns": ("a",), "rows": ((1,), (2,), (1,))},
            "rows 1 and 3 of the table are the same",
        ),
        ((REAL,), {"kind": "table", "columns": ("a",), "rows": ((1, 2),)}, "row 1 of the table has 2 values"),
        (ALL, {"kind": "grid", "levels": 900}, "at most 1000000"),
        ((REAL,), {"kind": "morris", "n": 1_000_000}, "2000000 scenarios; at most 1000000"),
        ((REAL,), {"kind": "saltelli", "n": 300_000}, "1200000 scenarios; at most 1000000"),
    ],
)
def test_designs_that_do_not_fit_are_refused(factors: Any, design: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        build(Design(**design), factors, 1)


@pytest.mark.parametrize(
    ("design", "told"),
    [
        ({"kind": "lhs"}, "n = None: a design of kind lhs needs a number"),
        ({"kind": "lhs", "n": 0}, "n = 0"),
        ({"kind": "grid", "n": 4}, "a design of kind grid has no n"),
        ({"kind": "lhs", "n": 4, "levels": 3}, "has no levels"),
        ({"kind": "morris", "n": 4, "levels": 3}, "needs an even number"),
        ({"kind": "table"}, "needs a file"),
        ({"kind": "grid", "columns": ("a",), "rows": ((1,),)}, "has no table"),
        ({"kind": "latin"}, "kind = 'latin'"),
    ],
)
def test_fields_of_a_design_that_do_not_fit_are_refused(design: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        Design(**design)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "needs low and high, or values"),
        ({"low": 1.0}, "needs low and high"),
        ({"low": 2.0, "high": 1.0}, "low = 2 must be below high = 1"),
        ({"low": 0.0, "high": 1.0, "scale": "log"}, "lies above 0"),
        ({"low": 0.0, "high": 1.0, "values": (1,)}, "one of them is meant"),
        ({"values": (1, 2, 1)}, "a value is listed twice"),
        ({"values": ({"a": 1}, 0.2)}, "a value is a table"),
    ],
)
def test_factors_that_make_no_sense_are_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        Factor(name="a", **fields)


def test_whole_numbers_follow_the_scale_and_stay_in_their_range() -> None:
    factor = Factor(name="k", low=1, high=64, scale="log", whole=True)
    assert factor.levels(7) == (1, 2, 4, 8, 16, 32, 64)
    drawn = [factor.at(u) for u in np.linspace(0, 1, 101)]
    assert (drawn[0], drawn[-1]) == (1, 64)
    assert 6 <= drawn[50] <= 9
    assert all(isinstance(v, int) for v in drawn)
    with pytest.raises(ConfigurationError, match="ends of a range of whole numbers are whole"):
        Factor(name="k", low=1.5, high=3.2, whole=True)
    with pytest.raises(ConfigurationError, match="belongs to a range"):
        Factor(name="k", values=(1, 2), scale="log")


def test_numbers_of_numpy_are_taken_as_pythons() -> None:
    factor = Factor(name="x", values=tuple(np.linspace(0, 1, 3)))
    assert [type(v) for v in factor.values] == [float] * 3


@pytest.mark.parametrize(
    ("columns", "rows", "told"),
    [
        (("x",), ((0.9,),), "row 1 of the table: x = 0.9 is not among its values, or not in its range"),
        (("x",), ((0.1,), (0.1,)), "rows 1 and 2 of the table are the same"),
        (("x",), ((0,), (0.0,)), "rows 1 and 2 of the table are the same"),
        (("x", "x"), ((0.1, 0.2),), "column 'x' stands twice"),
    ],
)
def test_tables_that_do_not_fit_their_factors_are_refused(columns: Any, rows: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(told)):
        build(Design(kind="table", columns=columns, rows=rows), [Factor(name="x", low=0.0, high=0.5)], 1)
