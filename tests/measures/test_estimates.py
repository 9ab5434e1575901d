"""Student's and Wilson's intervals, and a running slope, against SciPy's, NumPy's and the formula."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mpbf_abm.stats.estimates import Slope, critical_t, critical_z, mean_estimate, share_estimate, student, wilson


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_a_mean_has_students_interval(values):
    x, e = np.array(values), mean_estimate(values)
    assert e.value == x.mean()
    half = stats.t.ppf(0.975, len(x) - 1) * stats.sem(x) if np.ptp(x) else 0.0
    assert (e.low, e.high) == pytest.approx((x.mean() - half, x.mean() + half), rel=1e-9, abs=1e-9)


def test_one_value_has_a_mean_and_no_interval_and_none_has_neither():
    one, none = mean_estimate([3.0]), mean_estimate([])
    assert one.value == 3.0
    assert np.isnan([one.error, one.low, one.high, none.value, none.low]).all()


def test_quantiles_are_those_of_both_laws():
    assert critical_z() == pytest.approx(stats.norm.ppf(0.975))
    assert critical_t([1, 5, 10**9], 0.9) == pytest.approx([stats.t.ppf(0.95, n) for n in (1, 5, 10**9)])
    e = student(2.0, 0.5, 7, 0.99)
    assert (e.high - 2.0) / 0.5 == pytest.approx(stats.t.ppf(0.995, 7))


def test_wilson_intervals_are_those_of_the_formula() -> None:
    low, high = wilson(np.array([0.0, 5.0, 10.0, 0.0]), np.array([10.0, 10.0, 10.0, 0.0]))
    assert low == pytest.approx([0.0, 0.2366, 0.7225, 0.0], abs=1e-4)
    assert high == pytest.approx([0.2775, 0.7634, 1.0, 1.0], abs=1e-4)


@given(st.integers(0, 30), st.integers(1, 30))
def test_a_share_has_wilsons_interval(yes, no):
    e = share_estimate([True] * yes + [False] * no)
    expected = stats.binomtest(yes, yes + no).proportion_ci(0.95, method="wilson")
    assert (e.low, e.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert e.value == yes / (yes + no)


def test_a_running_slope_is_that_of_all_points_and_knows_when_there_is_none():
    rng, slope = np.random.default_rng(3), Slope()
    x, y = 7.0 + 0.3 * rng.normal(size=50), -0.5 + 0.1 * rng.normal(size=50)
    for i, (a, b) in enumerate(zip(x, y, strict=True)):
        assert np.isnan(slope.value()) == (i < 3)
        slope.add(float(a), float(b))
    slope.add(np.nan, 1.0)
    slope.add(8.0, -np.inf)
    assert slope.value() == pytest.approx(np.polyfit(x, y, 1)[0], rel=1e-9)
    assert np.isnan(slope.value(apart=float(np.ptp(x))))
