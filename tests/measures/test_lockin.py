"""Leaders, lock-in times and survival: by hand, and the published remission times of Freireich et al. (1963)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.stats.survival import leader_changes, leaders, lock_in_times, median_time, median_times, survival

# Weeks of remission under 6-mercaptopurine; censored ones have a plus in the publication.
TIMES = [6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
SEEN = [True] * 9 + [False] * 12


def test_the_survival_curve_of_a_textbook():
    curve = survival(TIMES, SEEN).set_index("time")
    published = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}
    for time, value in published.items():
        assert curve.loc[time, "survival"] == pytest.approx(value, abs=5e-4)
    assert list(curve.loc[[6, 23], "at_risk"]) == [21, 6]
    # Greenwood's errors, and the log-log interval at 10 weeks.
    assert curve.loc[6, "error"] == pytest.approx(0.0764, abs=5e-5)
    assert curve.loc[23, "error"] == pytest.approx(0.1346, abs=5e-5)
    assert (curve.loc[10, "low"], curve.loc[10, "high"]) == pytest.approx((0.503, 0.889), abs=1e-3)
    median, low, high = median_time(survival(TIMES, SEEN))
    assert (median, low, high) == (23.0, 13.0, math.inf)


def test_without_censoring_it_is_the_empirical_distribution():
    t = [3.0, 1.0, 2.0, 2.0, 5.0]
    curve = survival(t, [True] * 5).set_index("time")
    np.testing.assert_allclose(curve["survival"], [1.0, 0.8, 0.4, 0.2, 0.0], atol=1e-15)
    # Where nobody is left the bound before still holds, and Greenwood's error is not defined.
    assert curve.loc[5.0, "low"] == 0.0
    assert curve.loc[5.0, "high"] == curve.loc[3.0, "high"] > 0.2
    assert math.isnan(curve.loc[5.0, "error"])


def test_one_case_says_little():
    assert median_time(survival([5.0], [True])) == (5.0, 5.0, math.inf)


def test_a_weight_is_a_case_as_often():
    weight = np.random.default_rng(3).integers(0, 4, (5, len(TIMES)))
    found = median_times(TIMES, SEEN, weight)
    again = [median_time(survival(np.repeat(TIMES, w), np.repeat(SEEN, w)))[0] for w in weight]
    assert found.tolist() == again
    assert median_times(TIMES, SEEN, np.ones((1, 21))).tolist() == [23.0]


def test_intervals_of_the_median_cover():
    """Exponential times with mean 10, censored evenly up to 30: the true median is 10 ln 2."""
    rng = np.random.default_rng(12)
    hits, runs = 0, 300
    for _ in range(runs):
        event, end = rng.exponential(10.0, 40), rng.uniform(0.0, 30.0, 40)
        _, low, high = median_time(survival(np.minimum(event, end), event <= end))
        hits += low <= 10 * math.log(2) <= high
    assert hits / runs > 0.95 - 3.5 * math.sqrt(0.95 * 0.05 / runs)


def test_nobody_locked_in_is_never_half():
    curve = survival([9.0, 9.0], [False, False])
    assert curve["survival"].tolist() == [1.0]
    assert median_time(curve) == (math.inf, math.inf, math.inf)


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=30))
def test_survival_falls_within_its_interval_and_ignores_order(cases):
    times, seen = (list(v) for v in zip(*cases, strict=True))
    curve = survival(times, seen)
    assert (np.diff(curve["survival"]) <= 1e-12).all()
    assert (curve["low"] <= curve["survival"] + 1e-12).all()
    assert (curve["survival"] <= curve["high"] + 1e-12).all()
    again = survival(times[::-1], seen[::-1])
    np.testing.assert_array_equal(curve, again)


def test_who_is_level_keeps_the_lead():
    x = np.array([[2, 1, 1], [2, 2, 1], [2, 3, 1], [3, 3, 3], [3, 3, 4]])
    assert leaders(x).tolist() == [0, 0, 1, 1, 2]
    assert leader_changes(x) == 2
    assert leader_changes(x[None]).tolist() == [2]


def test_lock_in_is_for_good():
    lost = [[0.6, 0.4], [0.7, 0.3], [0.4, 0.6], [0.6, 0.4], [0.55, 0.45]]
    steady = [[0.6, 0.4], [0.8, 0.2], [0.8, 0.2], [0.8, 0.2], [0.9, 0.1]]
    never = [[0.5, 0.5]] * 5
    times, seen = lock_in_times(np.array([lost, steady, never]), 0.7)
    assert (times.tolist(), seen.tolist()) == ([4.0, 1.0, 4.0], [False, True, False])
    times, seen = lock_in_times(np.array([lost]), 0.55, times=[0, 10, 20, 30, 40])
    assert (times.tolist(), seen.tolist()) == ([30.0], [True])
    # Counts serve as shares.
    assert lock_in_times(100 * np.array([steady]), 0.7)[0].tolist() == [1.0]


def test_faulty_input_is_refused():
    with pytest.raises(ConfigurationError, match="threshold"):
        lock_in_times(np.ones((2, 3, 2)), 0.0)
    with pytest.raises(ConfigurationError, match="survival: times"):
        survival([1.0, 2.0], [True])
    with pytest.raises(ConfigurationError, match="leaders"):
        leaders([1.0, 2.0])
