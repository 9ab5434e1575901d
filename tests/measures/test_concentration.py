"""Concentration: indices, and the exact means of a Polya urn's limit."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpbf_abm.stats.concentration import (
    gini,
    hhi,
    hill,
    limit_entropy,
    limit_gini,
    limit_hhi,
    limit_inverse_hhi,
    shannon,
)

MASSES = st.lists(st.floats(0.05, 50), min_size=2, max_size=8).map(np.array)


def test_indices_of_equal_and_of_one_sided_counts():
    assert hhi(np.ones(4)) == pytest.approx(0.25)
    assert hhi(np.array([5, 0, 0])) == 1
    assert shannon(np.ones(4)) == pytest.approx(math.log(4))
    assert shannon(np.array([5, 0, 0])) == 0
    assert math.isnan(hhi(np.zeros(3)))
    assert math.isnan(shannon(np.zeros(3)))
    assert hill(np.array([3, 3]), 2) == pytest.approx(1 / hhi(np.array([3, 3])))
    assert gini(np.array([0, 4])) == 0.5


@pytest.mark.parametrize("K", [2, 3, 5, 10, 40])
def test_limits_of_a_flat_urn_are_the_known_ones(K):
    harmonic = sum(1 / i for i in range(1, K + 1))
    assert limit_hhi(np.ones(K)) == pytest.approx(2 / (K + 1))
    assert limit_entropy(np.ones(K)) == pytest.approx(harmonic - 1)
    assert limit_gini(np.ones(K)) == pytest.approx((K - 1) / (2 * K))


def test_inverse_hhi_of_two_flat_colours_is_half_pi():
    assert limit_inverse_hhi([1, 1]) == pytest.approx(math.pi / 2)
    assert limit_inverse_hhi([1e5, 1e5]) == pytest.approx(2, rel=1e-4)
    assert limit_inverse_hhi([3e5, 1e5]) == pytest.approx(1 / (0.75**2 + 0.25**2), rel=1e-4)


def test_inverse_hhi_of_extreme_masses_is_finite_and_right():
    # One of two colours takes all but for a chance of order a.
    assert limit_inverse_hhi([1e-3, 1e-3]) == pytest.approx(1 + math.pi / 2 * 1e-3, rel=1e-4)
    assert limit_inverse_hhi([1e-3, 50]) == pytest.approx(1, abs=1e-3)
    assert limit_inverse_hhi([2e6, 1e6]) == pytest.approx(1.8, rel=1e-4)


def test_limits_agree_with_dirichlet_draws():
    a = np.array([2.0, 0.5, 3.0, 1.0])
    x = np.random.default_rng(1).dirichlet(a, 40_000)
    for limit, index in ((limit_hhi, hhi), (limit_entropy, shannon), (limit_gini, gini)):
        values = np.array([index(v) for v in x])
        assert abs(limit(a) - values.mean()) < 4.5 * values.std() / 200


@given(MASSES)
def test_large_masses_leave_nothing_to_chance_and_order_is_irrelevant(a):
    assert limit_hhi(1e7 * a) == pytest.approx(hhi(a), rel=1e-4)
    assert limit_entropy(1e7 * a) == pytest.approx(shannon(a), abs=1e-4)
    assert limit_gini(1e7 * a) == pytest.approx(gini(a), abs=1e-3)
    assert limit_gini(a[::-1]) == pytest.approx(limit_gini(a), abs=1e-9)


@given(MASSES)
def test_limits_are_means_of_the_limits_after_one_more_draw(a):
    # The martingale that rows U2 and U4 rest on.
    shares = a / a.sum()
    for limit in (limit_hhi, limit_entropy, limit_gini):
        after = sum(shares[k] * limit(a + np.eye(len(a))[k]) for k in range(len(a)))
        assert after == pytest.approx(limit(a), rel=1e-6, abs=1e-9)
