"""Area under the ROC curve: limits, published values, brute force, coverage of intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, norm

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.stats.classification import auc, auc_difference, roc_curve

# Few values, so that ties are common; both classes are there.
cases = st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 3), st.integers(0, 2)), min_size=4).filter(
    lambda c: 0 < sum(y for _, y, *_ in c) < len(c)
)

# Ratings of computed tomographic images, 1 to 5, by disease (Hanley and McNeil 1982, table 1).
RATING = np.repeat([1, 2, 3, 4, 5] * 2, [33, 6, 6, 11, 2, 3, 2, 2, 11, 33])
DISEASE = np.arange(109) >= 58
# Albumin, total protein, K-G score and outcome of 43 patients (DeLong et al. 1988), whole records only.
PATIENTS = """
3.0 5.8 10 0 3.2 6.3 5 1 3.9 6.8 3 1 2.8 4.8 6 0 3.2 5.8 3 1 0.9 4.0 5 0 2.5 5.7 8 0 1.6 5.6 5 1 3.8 5.7 5 1
3.7 6.7 6 1 3.2 5.4 4 1 3.8 6.6 6 1 4.1 6.6 5 1 3.6 5.7 5 1 4.3 7.0 4 1 3.6 6.7 4 0 2.3 4.4 6 1 4.2 7.6 4 0
4.0 6.6 6 0 3.5 5.8 6 1 3.8 6.8 7 1 3.0 4.7 8 0 4.5 7.4 5 1 3.7 7.4 5 1 3.1 6.6 6 1 4.1 8.2 6 1 4.3 7.0 5 1
4.3 6.5 4 1 3.2 5.1 5 1 2.6 4.7 6 1 3.3 6.8 6 0 1.7 4.0 7 0 3.7 6.1 5 1 3.3 6.3 7 1 4.2 7.7 6 1 3.5 6.2 5 1
2.9 5.7 9 0 2.1 4.8 7 1 2.8 6.2 8 0 4.0 7.0 7 1 3.3 5.7 6 1 3.7 6.9 5 1 3.6 6.6 5 1
"""
ALBUMIN, PROTEIN, SCORE, BENEFIT = np.array(PATIENTS.split(), float).reshape(-1, 4).T


def by_pairs(s, y, fold=None):
    """Area by its definition."""
    fold = np.zeros(len(s)) if fold is None else fold
    pairs = [
        (s[i] > s[j]) + 0.5 * (s[i] == s[j])
        for i in np.flatnonzero(y)
        for j in np.flatnonzero(~y)
        if fold[i] == fold[j]
    ]
    return np.mean(pairs) if pairs else None


# --------------------------------------------------------------------------- exact and published values


def test_limits_are_exact():
    y = np.arange(12) % 3 == 0
    assert auc(y + 0.0, y).value == 1.0
    assert auc(-np.cumsum(y) - 10.0 * y, y).value == 0.0
    assert auc(np.full(12, 7.3), y).value == 0.5
    assert auc([1, 1, 2], [0, 1, 1]).value == 0.75


def test_published_areas_and_errors():
    a = auc(RATING, DISEASE)
    # Hanley and McNeil 1982: .893; DeLong's error and interval of the same data in the manual of Stata, roctab.
    assert (a.value, a.error) == pytest.approx((0.8932, 0.0307), abs=5e-5)
    assert (a.value - 1.959964 * a.error, a.value + 1.959964 * a.error) == pytest.approx((0.83295, 0.95339), abs=5e-6)
    a = auc(ALBUMIN, BENEFIT)
    assert (a.value, a.error) == pytest.approx((0.7366, 0.0927), abs=5e-5)


def test_published_comparison_of_correlated_areas():
    """SAS/STAT User's Guide, PROC LOGISTIC, example of DeLong et al. 1988: chi-square 2.5340 on 2 df, p = .2817."""
    areas = [auc(s, BENEFIT).value for s in (ALBUMIN, PROTEIN)]
    assert auc(-SCORE, BENEFIT).value == pytest.approx(0.7258, abs=5e-5)
    first, second = (auc_difference(s, -SCORE, BENEFIT) for s in (ALBUMIN, PROTEIN))
    between = auc_difference(ALBUMIN, PROTEIN, BENEFIT)
    assert between.value == pytest.approx(areas[0] - areas[1])
    shared = (first.error**2 + second.error**2 - between.error**2) / 2
    matrix = np.array([[first.error**2, shared], [shared, second.error**2]])
    gap = np.array([first.value, second.value])
    statistic = gap @ np.linalg.solve(matrix, gap)
    assert statistic == pytest.approx(2.5340, abs=5e-5)
    assert chi2.sf(statistic, 2) == pytest.approx(0.2817, abs=5e-5)


@pytest.mark.parametrize("d", [0.0, 0.5, 1.5])
def test_two_normals_a_distance_apart(d):
    rng = np.random.default_rng(1)
    n = 20_000
    a = auc(np.append(rng.normal(d, 1, n), rng.normal(0, 1, n)), np.repeat([True, False], n))
    assert abs(a.value - norm.cdf(d / math.sqrt(2))) < 4.5 * a.error


# --------------------------------------------------------------------------- invariants


@given(cases)
def test_areas_equal_their_definition(rows):
    s, y, g, fold = (np.array(column) for column in zip(*rows, strict=True))
    a = auc(s, y)
    assert a.value == pytest.approx(by_pairs(s, y))
    assert 0 <= a.low <= a.value <= a.high <= 1
    assert auc(-s, y).value == pytest.approx(1 - a.value)
    assert auc(np.exp(s / 3.0), y) == a
    assert auc(s, ~y).value == pytest.approx(1 - a.value)
    order = np.random.default_rng(0).permutation(len(s))
    assert auc(s[order], y[order]).error == pytest.approx(a.error, nan_ok=True)
    assert auc(s, y, groups=g).value == a.value
    within = by_pairs(s, y, fold)
    if within is not None:
        assert auc(s, y, folds=fold).value == pytest.approx(within)


@given(cases)
def test_the_curve_rises_from_corner_to_corner_and_has_that_area(rows):
    s, y, *_ = (np.array(column) for column in zip(*rows, strict=True))
    curve = roc_curve(s, y)
    f, t = curve.false_positive_rate, curve.true_positive_rate
    assert np.trapezoid(t, f) == pytest.approx(auc(s, y).value)
    assert [f.iloc[0], t.iloc[0], f.iloc[-1], t.iloc[-1]] == [0, 0, 1, 1]
    assert curve.threshold.iloc[0] == math.inf
    assert (np.diff(curve.threshold) < 0).all()
    for row in curve.itertuples():
        assert (row.false_positive_rate, row.true_positive_rate) == pytest.approx(
            ((s[~y] >= row.threshold).mean(), (s[y] >= row.threshold).mean())
        )


@given(cases)
def test_a_difference_turns_with_its_order(rows):
    s, y, other, _ = (np.array(column) for column in zip(*rows, strict=True))
    d, e = auc_difference(s, other, y), auc_difference(other, s, y)
    assert (d.value, d.low, d.high) == pytest.approx((-e.value, -e.high, -e.low))
    assert d.low <= d.value <= d.high
    same = auc_difference(s, 3.0 * s - 1, y)
    assert (same.value, same.error, same.low, same.high) == (0, 0, 0, 0)


# --------------------------------------------------------------------------- intervals


@pytest.mark.parametrize(("m", "n", "d"), [(10, 10, 0.5), (40, 40, 1.0), (6, 30, 2.5), (8, 8, 3.5)])
def test_intervals_cover(m, n, d):
    """Also where most samples are in perfect order, of which DeLong's error says nothing."""
    rng = np.random.default_rng(3)
    truth, runs, missed = norm.cdf(d / math.sqrt(2)), 500, 0
    for _ in range(runs):
        a = auc(np.append(rng.normal(d, 1, m), rng.normal(0, 1, n)), np.repeat([True, False], [m, n]))
        missed += not a.low <= truth <= a.high
    assert missed / runs < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_perfect_order_and_single_cases_have_intervals():
    perfect = auc(np.arange(20), np.arange(20) >= 10)
    assert perfect.high == 1
    # The root of (1 - t)^2 = z^2 t (1 - t)/mn [1 + (N - 1)((1 - t)/(2 - t) + t/(1 + t))].
    t = perfect.low
    variance = t * (1 - t) / 100 * (1 + 9 * ((1 - t) / (2 - t) + t / (1 + t)))
    assert 1 - t == pytest.approx(1.959964 * math.sqrt(variance), rel=1e-5)
    few = auc(np.arange(6), np.arange(6) >= 3)
    assert few.low < perfect.low
    single = auc([1, 2, 3, 2.5], [0, 0, 0, 1])
    assert math.isnan(single.error)
    assert 0 < single.low < single.value < single.high < 1
    apart = auc_difference([1, 2, 3, 4, 5, 6], [1, 3, 2, 6, 5, 4], [0, 0, 0, 1, 1, 1])
    assert apart.value == 0
    assert -1 < apart.low < 0 < apart.high < 1


def test_dependent_cases_count_as_their_groups_do():
    rng = np.random.default_rng(5)
    s, y = rng.normal(size=40) + np.repeat([0, 1], 20), np.repeat([False, True], 20)
    alone = auc(s, y)
    again = auc(np.repeat(s, 9), np.repeat(y, 9), groups=np.repeat(np.arange(40), 9))
    assert (again.value, again.error, again.low) == pytest.approx((alone.value, alone.error, alone.low))
    assert auc(np.repeat(s, 9), np.repeat(y, 9)).error < alone.error / 2.5


def test_errors_are_the_scatter_where_groups_hold_both_classes():
    """A shift that the cases of a group share, of both classes, lifts neither above the other."""
    rng, runs = np.random.default_rng(6), 400
    areas = []
    for _ in range(runs):
        y, g = rng.random(160) < 0.5, np.repeat(np.arange(40), 4)
        areas.append(auc(2 * rng.normal(size=40)[g] + rng.normal(size=160) + y, y, groups=g))
    value, error = np.array([(a.value, a.error) for a in areas]).T
    truth = norm.cdf(1 / math.sqrt(2 * 5))
    assert abs(value.mean() - truth) < 4.5 * value.std() / math.sqrt(runs)
    assert (error**2).mean() == pytest.approx(value.var(), rel=4.5 * math.sqrt(2 / runs))
    assert np.mean([not a.low <= truth <= a.high for a in areas]) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


# --------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: auc([1, 2], [1, 1]), "all 2 cases are yes; both classes are needed"),
        (lambda: auc([1, 2, 3], [0, 0, 0]), "all 3 cases are no"),
        (lambda: auc([1, 2, 3], [0, 1, 2]), "outcome: a list of yes"),
        (lambda: auc([], []), "a list of yes and no"),
        (lambda: auc([1, 2], [0, 1, 1]), "scores: 3 finite numbers"),
        (lambda: auc([1, np.nan], [0, 1]), "scores: 2 finite numbers"),
        (lambda: auc([1, 2], [0, 1], groups=[1]), "groups: 2 labels"),
        (lambda: auc([1, 2], [0, 1], folds=[0, 1]), "no fold holds both classes"),
        (lambda: auc_difference([1, 2], [2], [0, 1]), "scores: 2 finite"),
        (lambda: roc_curve([1, 2], [0, 0]), "all 2 cases are no"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(call, says):
    with pytest.raises(ConfigurationError, match=says) as refused:
        call()
    assert len(refused.value.faults) == 1
